"""Where a trace would fix a size that a program leaves open: what can be helped, and what is to be
told.

`len(x)` is a number of Python's whatever x is, so that it fixes the number of rows of a net that
asks for it. While a net is traced anew, it is `x.shape[0]`. And what torch cannot prove of sizes
is then known: how often `batch` goes into `3 * batch - 1`, as where two batches become one and are
taken apart again, by division; of sizes that have bounds (`(2 * length - 1) % length != 0`), by
trying each of them.
"""

import builtins
import functools
import itertools
import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._torch_errors import is_of_the_model, place

MOST_TRIED = 4096
"""Sizes, or pairs and more of them, that are tried for one question: about a second."""


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


@contextmanager
def tried_sizes() -> Iterator[None]:
    """Has torch know a condition that holds for all sizes within their bounds, or for none: by
    division, or by trying each."""
    from sympy.logic.boolalg import Boolean
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    evaluate = ShapeEnv._maybe_evaluate_static
    known: dict[Any, Any] = {}

    @functools.wraps(evaluate)  # torch empties its cache by an attribute
    def tried(self: Any, condition: Any, **how: Any) -> Any:
        answer = evaluate(self, condition, **how)
        if answer is not None or not isinstance(condition, Boolean):
            return answer
        symbols = sorted(condition.free_symbols, key=str)
        bounds = tuple(self.var_to_range.get(symbol) for symbol in symbols)
        asked = (condition, bounds)
        if asked not in known:
            divided = _divided(condition, dict(zip(symbols, bounds, strict=True)))
            known[asked] = _tried(condition, symbols, bounds) if divided is None else divided
        return known[asked]

    ShapeEnv._maybe_evaluate_static = tried  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        ShapeEnv._maybe_evaluate_static = evaluate  # type: ignore[method-assign]


def _divided(condition: Any, bounds: dict[Any, Any]) -> Any:
    """Returns whether the condition holds, if that is known with `(n * size + rest) // size` as n,
    or n - 1 where the rest is negative; else null. The rest is less than a size can be."""
    from sympy import Integer, div, false, true
    from torch.utils._sympy.functions import FloorDiv

    def quotient(whole: Any, size: Any) -> Any:
        if not size.is_Symbol or not whole.is_polynomial(size):
            return FloorDiv(whole, size)
        least = bounds[size].lower if bounds.get(size) else Integer(0)
        times, rest = div(whole, size, size)
        plain = times.is_Integer and rest.is_Integer
        if not plain or not -least <= rest < least:
            return FloorDiv(whole, size)
        return times if rest >= 0 else times - 1

    answer = condition.replace(FloorDiv, quotient)
    return answer if answer in (true, false) else None


def _tried(condition: Any, symbols: list[Any], bounds: tuple[Any, ...]) -> Any:
    """Returns whether the condition holds, if it is the same for all sizes, and there are not too
    many of them; else null."""
    if not all(each and each.lower.is_Integer and each.upper.is_Integer for each in bounds):
        return None
    ranges = [range(int(each.lower), int(each.upper) + 1) for each in bounds]
    if not symbols or math.prod(map(len, ranges)) > MOST_TRIED:
        return None
    try:
        answers = {
            condition.subs(dict(zip(symbols, sizes, strict=True)))
            for sizes in itertools.product(*ranges)
        }
    except ZeroDivisionError:
        return None
    return answers.pop() if len(answers) == 1 else None
