"""Numbers that a net makes of sizes by Python's own `int`, `float`, `min` and `max` stay open where
it is traced anew: each of the four would fix a size, or branch by it."""

import builtins
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def open_numbers(net: "nn.Module") -> Iterator[None]:
    """Has the modules of the packages that the net's parts are of call ours, which are Python's
    for all but sizes."""
    names = _open()
    packages = {type(part).__module__.partition(".")[0] for part in net.modules()}
    packages -= {"torch", "builtins", __name__.partition(".")[0]}
    modules = [each for name, each in [*sys.modules.items()] if name.partition(".")[0] in packages]
    changed = [(vars(each), name) for each in modules for name in names if name not in vars(each)]
    for variables, name in changed:
        variables[name] = names[name]
    try:
        yield
    finally:
        for variables, name in changed:
            variables.pop(name, None)


def _open() -> dict[str, Any]:
    """Returns by name what takes the place of Python's own."""
    import torch

    sizes = torch.SymInt, torch.SymFloat

    def of_sizes(own: Callable[..., Any], of_two: Any) -> Callable[..., Any]:
        def least_or_most(*values: Any, **how: Any) -> Any:
            given = values if len(values) > 1 else [*values[0]] if values else []
            if how or not any(isinstance(each, sizes) for each in given):
                return own(*(values if len(values) > 1 else (given,)), **how)
            result = given[0]
            for each in given[1:]:
                result = of_two(result, each)
            return result

        return least_or_most

    return {
        "int": open_int(),
        "float": _kind(float, torch.SymFloat, torch.sym_float),
        "min": of_sizes(builtins.min, torch.sym_min),
        "max": of_sizes(builtins.max, torch.sym_max),
    }


def open_int() -> type:
    """Returns what is as `int`, and lets a size stay open."""
    import torch

    return _kind(int, torch.SymInt, torch.sym_int)


def _kind(own: type, size: type, opened: Callable[[Any], Any]) -> type:
    """Returns what is as a type of Python's, of which a size is one, too."""
    import torch

    class Kind(type):
        def __call__(cls, *values: Any, **how: Any) -> Any:
            is_size = len(values) == 1 and isinstance(values[0], torch.SymInt | torch.SymFloat)
            return opened(values[0]) if is_size else own(*values, **how)

        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, own | size)

        def __subclasscheck__(cls, kind: Any) -> bool:
            return issubclass(kind, own | size)

        def __getattr__(cls, name: str) -> Any:
            return getattr(own, name)

    return Kind(own.__name__, (), {})
