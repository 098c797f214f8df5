"""Where a step draws a mask, the graph takes it out of an input."""

from collections.abc import Mapping
from typing import Any

from ._masks import Generator, Mask, seeded

TRIED = 1000
"""So many values say whether PyTorch draws them here as other runtimes can."""


class Drawing:
    """The masks of a step in the order in which it draws them, out of the one tensor `flat`."""

    def __init__(self, sizes: Mapping[Any, tuple[str, int]]):
        """`sizes` says which input's axis a symbol of the trace is the size of."""
        self.sizes = sizes
        self.flat: Any = None
        self.masks: list[Mask] = []
        self._start: Any = 0

    def begin(self, flat: Any) -> None:
        """Begins a step that takes them out of `flat`."""
        self.flat, self.masks, self._start = flat, [], 0

    def decompositions(self) -> dict[Any, Any]:
        """Returns, by operator of torch, what takes its mask from here."""
        import torch

        aten = torch.ops.aten
        return {
            aten.bernoulli_.float: self.bernoulli_,
            aten.native_dropout.default: self.dropout,
            aten.empty_like.default: _zeros_like,
        }

    def dropout(self, values: Any, rate: float, train: bool | None) -> tuple[Any, Any]:
        """Does as dropout on a CPU; all or nothing is dropped without drawing."""
        import torch

        if rate in (0, 1) or not train:
            mask = torch.full_like(values, not train or rate == 0, dtype=torch.bool)
            return values * mask, mask
        mask = self._next(values, 1 - rate)
        return values * (mask.to(values.dtype) / (1 - rate)), mask

    def bernoulli_(self, values: Any, keep: float = 0.5, generator: Any = None) -> Any:
        """Does as torch.Tensor.bernoulli_."""
        return values.copy_(self._next(values, keep).to(values.dtype))

    def _next(self, values: Any, keep: float) -> Any:
        """Returns the mask of these values; PyTorch draws in the order of their memory."""
        import torch

        size = values.numel()
        self.masks.append({"keep": float(keep), "count": self._terms(size)})
        # Taken by numbers, since the size of a part would be held to that of the whole.
        numbers = torch.arange(size, device=values.device) + self._start
        self._start = self._start + size
        order, back = _layout(values)
        laid = self.flat.index_select(0, numbers).reshape([values.shape[axis] for axis in order])
        return laid.permute(back)

    def _terms(self, size: Any) -> list[dict[str, Any]]:
        """Returns a size as a sum of products. Raises ValueError where it is none."""
        import sympy

        expression = sympy.Integer(size) if isinstance(size, int) else size.node.expr
        if expression.is_Integer:
            return [{"times": int(expression), "sizes": []}]
        symbols = sorted(expression.free_symbols, key=str)
        try:
            factors = [self.sizes[symbol] for symbol in symbols]
            terms = sympy.Poly(expression, *symbols).terms()
        except (sympy.PolynomialError, KeyError) as error:
            raise ValueError(
                f"onnx_train: draws a mask of {expression} values, expected a product of the sizes "
                "of its inputs"
            ) from error
        return [{"times": int(n), "sizes": _repeated(factors, powers)} for powers, n in terms]


def _layout(values: Any) -> tuple[list[int], list[int]]:
    """Returns the axes in the order of the memory, and their way back."""
    strides = [_hint(each) for each in values.stride()]
    order = sorted(range(values.dim()), key=lambda axis: strides[axis], reverse=True)
    return order, [order.index(axis) for axis in range(values.dim())]


def _zeros_like(values: Any, **_: Any) -> Any:
    """Returns what a mask is drawn into, laid out as aten.empty_like does."""
    order, back = _layout(values)
    return values.new_zeros([values.shape[axis] for axis in order]).permute(back)


def _hint(size: Any) -> int:
    """Returns a size without holding the trace to it."""
    return size if isinstance(size, int) else int(size.node.hint)


def _repeated(factors: list[Any], powers: tuple[int, ...]) -> list[list[Any]]:
    return [[*f] for f, power in zip(factors, powers, strict=True) for _ in range(power)]


def check_drawn_alike() -> None:
    """Raises ValueError where PyTorch fills a mask otherwise than from the Mersenne Twister alone,
    as its builds with MKL do on Intel's processors."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = torch.empty(TRIED).bernoulli_(0.5).bool().numpy()
    if (drawn != Generator(seeded(0)).mask(0.5, TRIED)).any():
        raise ValueError(
            "onnx_train: PyTorch draws dropout's masks on this processor by a generator (MKL's) "
            "that no other runtime has"
        )
