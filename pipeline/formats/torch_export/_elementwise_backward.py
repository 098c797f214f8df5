"""A torch.autograd.Function of one value at a time takes its own backward into a program: there it
is what it computes, without a gradient, and a term of value 0 whose derivative is that backward."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._torch_errors import FAULTS


@contextmanager
def own_backwards() -> Iterator[None]:
    """Has each such function of others than torch be written so while it is traced; what is of
    another kind stays as it is, and trains by the derivative of its forward."""
    from torch.autograd import Function

    apply: Any = vars(Function)["apply"]

    def written(function: Any, *values: Any, **named: Any) -> Any:
        if function.__module__.partition(".")[0] != "torch" and not named:
            try:
                return _with_backward(function, values)
            except FAULTS:
                pass
        return apply.__get__(None, function)(*values, **named)

    Function.apply = classmethod(written)  # type: ignore[assignment]
    try:
        yield
    finally:
        Function.apply = apply  # type: ignore[method-assign]


class Context:
    """What forward and backward hand on to each other."""

    saved_tensors: tuple[Any, ...] = ()

    def __init__(self, values: tuple[Any, ...]):
        self.needs_input_grad = tuple(_is_differentiated(each) for each in values)

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Every gradient is there."""


def _with_backward(function: Any, values: tuple[Any, ...]) -> Any:
    """Raises one of FAULTS where the function is not of one value at a time."""
    import torch

    alone = tuple(each.detach() if isinstance(each, torch.Tensor) else each for each in values)
    context = Context(values)
    if function.setup_context is torch.autograd.Function.setup_context:
        answer = function.forward(context, *alone)
    else:
        answer = function.forward(*alone)
        function.setup_context(context, alone, answer)
    slopes = function.backward(context, torch.ones_like(answer))
    slopes = slopes if isinstance(slopes, tuple) else (slopes,)
    for value, slope in zip(values, slopes, strict=True):
        if slope is None or not _is_differentiated(value):
            continue
        if not value.shape == slope.shape == answer.shape:
            raise ValueError("its backward is of several values")
        term = value * slope.detach()
        answer = answer + (term - term.detach())
    return answer


def _is_differentiated(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.is_floating_point()
