"""A column's values become those of its array: none is missing, out of range or, if it is whole,
rounded."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.config.reading import nearest
from pipeline.data import precision
from pipeline.data.array_spec import ArraySpec
from pipeline.data.tables import EMPTY, EXACT, Array, Faults

ANSWERS = ("false", "true")
SHOWN, LISTED = 60, 30
"""Characters of a text, and names, in a message."""


def cast(table: Faults, row: int, column: str, values: Array, spec: ArraySpec) -> Array:
    """Returns a column in the dtype of its array. Raises DataError at a value that is not kept."""
    if spec.kind == "text":
        return cast_text(table, row, column, values, spec)
    if spec.kind == "name":
        return _cast_names(table, row, column, values, spec)
    if spec.clock is not None:
        _demand_known(table, row, column, values, spec)
        values = spec.clock.count(values)
    cast = _converted(values, spec)
    if cast.dtype.kind == "f":
        wrong = ~np.isfinite(cast)
        if spec.optional:
            wrong &= ~np.isnan(cast)
    elif values.dtype == object:
        wrong = np.array(
            [value != rounding for value, rounding in zip(values, cast, strict=True)], bool
        )
    else:
        least, most = spec.limits()
        if values.dtype.kind == "f":
            least, most = max(least, -EXACT), min(most, EXACT)
        wrong = (values < least) | (values > most) | (cast != values)
    if wrong.any():
        at, place, value = _first_wrong(wrong, column, values)
        raise table.fault(row + at, place, f"found {value}, expected {spec.expected(value)}")
    if cast.dtype.kind == "f" and (rounded := precision.rounded(values, cast)).any():
        at, place, value = _first_wrong(rounded, column, values)
        rounding = float(cast[rounded][0])
        raise table.fault(
            row + at, place, f"found {int(value)}, expected {spec.too_coarse(rounding)}"
        )
    return cast


def _demand_known(table: Faults, row: int, column: str, values: Array, spec: ArraySpec) -> None:
    """Raises DataError for what is no time, and for one that is missing where none may."""
    if values.dtype.kind != "M":
        problem = f"found {values.flat[0]!r}, expected a date or a time"
        raise table.fault(row, column, f"{problem}; leave the input's time out, or give datetime64")
    if not spec.optional and (missing := np.isnat(values)).any():
        at, place, _ = _first_wrong(missing, column, values)
        raise table.fault(row + at, place, EMPTY)


def _cast_names(table: Faults, row: int, column: str, values: Array, spec: ArraySpec) -> Array:
    """Returns each text's place in the list of names."""
    known: dict[str, int] = {}
    for text in set(values.flat):
        if not text and not spec.optional:
            at, place, _ = _first_wrong(values == text, column, values)
            raise table.fault(row + at, place, EMPTY)
        number = 0 if spec.names is None else place_of(text, spec.names, spec.is_target)
        if number is None and not (spec.has_other and (spec.most_names or not text)):
            at, place, _ = _first_wrong(values == text, column, values)
            raise table.fault(row + at, place, _unknown(text, spec))
        known[text] = len(spec.names or ()) if number is None else number
    places = np.array([known[text] for text in values.flat], spec.dtype)
    return places.reshape(values.shape)


def place_of(text: str, names: Sequence[str], numbered: bool) -> int | None:
    """Returns the text's place among the names; None where it is none.

    3.0 is 3, and True is true. Where no name is a number, a number may be the place itself, and of
    two names false and true are the first and the second, if it is `numbered`.
    """
    answer = text.lower() if text.lower() in ANSWERS else text
    plain = re.sub(r"^(-?\d+)\.0+$", r"\1", text)
    for each in (text, answer, plain):
        if each in names:
            return names.index(each)
    if not numbered or any(re.fullmatch(r"[-+.\d]+", name) for name in names):
        return None
    if plain.isascii() and plain.isdigit() and int(plain) < len(names):
        return int(plain)
    return ANSWERS.index(answer) if len(names) == 2 and answer in ANSWERS else None


def _unknown(text: str, spec: ArraySpec) -> str:
    what, key = ("a label", "classes") if spec.is_target else ("a category", "categories")
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    named = nearest(shown, list(spec.names or ())[:LISTED])
    return f"found {shown!r}, expected {what}; {named}; correct it or the list of {key}"


def _converted(values: Array, spec: ArraySpec) -> Array:
    """Returns the values in the dtype; what it cannot hold comes out as another number."""
    if values.dtype == object and not spec.dtype.startswith("float"):
        least, most = spec.limits()
        bounded = [min(max(value, least), most) for value in values]
        return np.array([int(value) for value in bounded], spec.dtype)
    with np.errstate(all="ignore"):
        if values.dtype == object:
            values = values.astype(np.float64)
        return values.astype(spec.dtype, copy=False)


def cast_text(table: Faults, row: int, column: str, values: Array, spec: ArraySpec) -> Array:
    """Returns objects until the longest text is known.

    An empty text is a missing value in each kind of file, because a CSV does not tell them apart.
    """
    cast = values if spec.dtype == "string" else values.astype(spec.dtype)
    wrong = cast.astype(object) != values
    if not spec.optional:
        wrong |= values == ""
    wrong |= np.array([not _is_text(v) for v in values.flat], bool).reshape(values.shape)
    if wrong.any():
        at, place, value = _first_wrong(wrong, column, values)
        problem = f"found {value!r}, expected UTF-8 text that does not end in NUL: save it as UTF-8"
        raise table.fault(row + at, place, problem if value else EMPTY)
    return cast


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return not value.endswith("\0")


def _first_wrong(wrong: Array, column: str, values: Array) -> tuple[int, str, Any]:
    """Returns row, place and value of the first that is wrong."""
    at, *element = (int(index) for index in np.argwhere(wrong)[0])
    value = values[(at, *element)]
    place = f"{column}{element}" if element else column
    return at, place, value.item() if isinstance(value, np.generic) else value
