"""Declared arrays out of a table's columns: each value there, in range and exactly kept."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.config.params import Input, Target
from pipeline.data.tables import EMPTY, Array, Batch, Kind, Table

EXACT = 2**53
"""Up to here a float64 says which integer is meant."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One array of the output: its columns side by side, reshaped to `shape` a row."""

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    """numpy's name; "string" as long as nobody knows the longest text."""
    kind: Kind = "number"
    classes: int | None = None
    """Labels are 0 to classes - 1."""

    def fixed(self, longest: int) -> "Wanted":
        """Texts side by side can be memory-mapped once they all take the place of the longest."""
        return replace(self, dtype=f"<U{longest}") if self.kind == "text" else self

    def limits(self) -> tuple[int, int]:
        if self.classes is not None:
            return 0, self.classes - 1
        return int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)

    def expected(self, found: float) -> str:
        if self.classes is not None:
            return f"a label, 0 to {self.classes - 1}; correct it or data.target.classes"
        if not math.isfinite(found):
            return "a finite number; fill it in or drop the row"
        if self.dtype.startswith("float"):
            largest = np.finfo(self.dtype).max
            return f"at most {largest:.3g} ({self.dtype}); correct it or choose another dtype"
        least, most = self.limits()
        return f"a whole number, {least} to {most} ({self.dtype}); correct it or the dtype"


def names(source: str | tuple[str, ...]) -> tuple[str, ...]:
    """Ranges written out, both ends included: "pixel_{0..63}" is 64 names, {00..63} pads them."""
    if not isinstance(source, str):
        return tuple(name for item in source for name in names(item))
    found = re.fullmatch(r"(.*)\{(\d+)\.\.(\d+)\}(.*)", source)
    if found is None:
        return (source,)
    before, first, last, after = found.groups()
    width = len(first) if first.startswith("0") else 1
    return tuple(f"{before}{n:0{width}}{after}" for n in range(int(first), int(last) + 1))


def of_input(entry: Input) -> Wanted:
    kinds: dict[str, Kind] = {"int64": "integer", "string": "text"}
    kind = kinds.get(entry.dtype, "number")
    return Wanted(columns=names(entry.source), shape=entry.shape, dtype=entry.dtype, kind=kind)


def of_target(target: Target) -> Wanted:
    """A label is a "number", since 3.0 names class 3 as well."""
    dtype = "float32" if target.classes is None else "int64"
    return Wanted(columns=(target.source,), shape=(), dtype=dtype, classes=target.classes)


def blocks(table: Table, arrays: Mapping[str, Wanted]) -> Iterator[Batch]:
    """All arrays by key, batch after batch, rows first. Raises DataError at the first bad value."""
    kinds = {column: array.kind for array in arrays.values() for column in array.columns}
    row = 0
    for batch in table.batches(kinds):
        yield {key: _block(table, row, batch, array) for key, array in arrays.items()}
        row += len(next(iter(batch.values())))


def _block(table: Table, row: int, batch: Batch, array: Wanted) -> Array:
    first, *more = array.columns
    rows = len(batch[first])
    if not more:
        return _fit(table, row, first, batch[first], array).reshape(rows, *array.shape)
    dtype = object if array.dtype == "string" else array.dtype
    block = np.empty((rows, len(array.columns)), dtype)
    for index, column in enumerate(array.columns):
        block[:, index] = _fit(table, row, column, batch[column], array)
    return block.reshape(rows, *array.shape)


def _fit(table: Table, row: int, column: str, values: Array, array: Wanted) -> Array:
    if array.kind == "text":
        return _fit_text(table, row, column, values, array)
    with np.errstate(all="ignore"):
        cast = values.astype(array.dtype, copy=False)
    if cast.dtype.kind == "f":
        wrong = ~np.isfinite(cast)
    else:
        least, most = array.limits()
        if values.dtype.kind == "f":
            least, most = max(least, -EXACT), min(most, EXACT)
        wrong = (values < least) | (values > most) | (cast != values)
    if wrong.any():
        at, place, found = _first(wrong, column, values)
        raise table.fault(row + at, place, f"found {found}, expected {array.expected(found)}")
    return cast


def _fit_text(table: Table, row: int, column: str, values: Array, array: Wanted) -> Array:
    """As objects until the longest is known. An empty text is a missing value in every kind of
    file, because in a CSV nobody can tell them apart."""
    cast = values if array.dtype == "string" else values.astype(array.dtype)
    wrong = (values == "") | (cast.astype(object) != values)
    wrong |= np.array([not _is_text(v) for v in values.flat], bool).reshape(values.shape)
    if wrong.any():
        at, place, found = _first(wrong, column, values)
        problem = f"found {found!r}, expected UTF-8 text that does not end in NUL; correct the cell"
        raise table.fault(row + at, place, problem if found else EMPTY)
    return cast


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return not value.endswith("\0")


def _first(wrong: Array, column: str, values: Array) -> tuple[int, str, Any]:
    """Row, place and value of the first that is wrong."""
    at, *element = (int(index) for index in np.argwhere(wrong)[0])
    found = values[(at, *element)]
    place = f"{column}{element}" if element else column
    return at, place, found if isinstance(found, str) else found.item()
