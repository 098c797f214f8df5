"""Where a trace would fix a size that a program leaves open: what can be helped, and what is to be
told.

`len(x)` is a number of Python's whatever x is, so that it fixes the number of rows of a net that
asks for it. While a net is traced anew, it is `x.shape[0]`.
"""

import builtins
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._torch_errors import is_of_the_model, place


@contextmanager
def open_lengths(places: list[str]) -> Iterator[None]:
    """Has the length of a tensor be left open; `places` gets the lines of the model, as they come,
    that fix a size all the same."""
    from sympy import Integer
    from torch import Tensor
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    length, replace, guard = builtins.len, ShapeEnv._set_replacement, ShapeEnv._log_guard

    def note() -> None:
        frames = [each for each in traceback.extract_stack() if is_of_the_model(each.filename)]
        places.extend(place(Path(each.filename), each.lineno or 0) for each in frames[-1:])

    def open_length(values: Any) -> Any:
        return values.shape[0] if isinstance(values, Tensor) and values.ndim else length(values)

    def look(self: Any, symbol: Any, target: Any, reason: str) -> None:
        if getattr(target, "is_number", False):
            note()
        replace(self, symbol, target, reason)

    def look_at_guard(self: Any, prefix: str, g: Any, forcing_spec: bool) -> None:
        if g.is_Relational and g.atoms(Integer) - {Integer(0), Integer(1)}:
            note()
        guard(self, prefix, g, forcing_spec)

    builtins.len = open_length
    ShapeEnv._set_replacement = look  # type: ignore[assignment, method-assign]
    ShapeEnv._log_guard = look_at_guard  # type: ignore[method-assign]
    try:
        yield
    finally:
        builtins.len = length
        ShapeEnv._set_replacement = replace  # type: ignore[method-assign]
        ShapeEnv._log_guard = guard  # type: ignore[method-assign]
