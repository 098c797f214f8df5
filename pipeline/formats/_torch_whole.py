"""Operators that torch composes of others, one way or another by sizes or values, stay whole in a
program: run, each goes the way that the source goes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def whole(shapes: Mapping[Any, Callable[..., Any]]) -> Iterator[None]:
    """Has these operators stay whole in a trace; each function answers tensors of the operator's
    shapes."""
    from torch._C import DispatchKey

    keys = DispatchKey.CompositeImplicitAutograd, DispatchKey.Autograd
    before = {operator: dict(operator.py_kernels) for operator in shapes}
    for operator, shaped in shapes.items():
        operator.py_kernels.update(dict.fromkeys(keys, shaped))
        operator._dispatch_cache.clear()
    try:
        yield
    finally:
        for operator, kernels in before.items():
            operator.py_kernels.clear()
            operator.py_kernels.update(kernels)
            operator._dispatch_cache.clear()


def whole_distances() -> Any:
    """Returns a context in which distances between all pairs stay whole: torch computes those of
    more than 25 rows by a product of matrices."""
    import torch

    broadcast: Any = torch.broadcast_shapes

    def shaped(one: Any, other: Any, p: float = 2.0, compute_mode: int | None = None) -> Any:
        sizes = broadcast(one.shape[:-2], other.shape[:-2])
        return one.new_empty((*sizes, one.shape[-2], other.shape[-2]))

    return whole({torch.ops.aten.cdist.default: shaped})
