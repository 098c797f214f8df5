"""A table's columns become the declared arrays: no value is missing, out of range or, if it is
whole, rounded."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.config.data_params import Data, Input, Target
from pipeline.data import precision
from pipeline.data.tables import EMPTY, EXACT, Array, Batch, Kind, Table

ALL = "all but the target"
"""A source: each column that nothing else names."""


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """An array of the output has its columns side by side, reshaped to `shape` a row."""

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    """numpy's name; "string" as long as nobody knows the longest text."""
    kind: Kind = "number"
    classes: int | None = None
    """Labels are 0 to classes - 1."""
    is_target: bool = False

    def with_text_length(self, longest: int) -> "ArraySpec":
        """Returns a spec that can be memory-mapped: each text takes the place of the longest."""
        return replace(self, dtype=f"<U{longest}") if self.kind == "text" else self

    def limits(self) -> tuple[int, int]:
        if self.classes is not None:
            return 0, self.classes - 1
        return int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)

    def too_coarse(self, kept: float) -> str:
        """Returns what is said of a whole number that the dtype rounds to `kept`."""
        most = precision.largest_exact(self.dtype)
        way_out = "subtract an offset from the column"
        if not self.is_target:
            other = "declare float64" if self.dtype == "float32" else "declare int64"
            way_out = f"{other}, or {way_out}"
        kept_to = f"a whole number that {self.dtype} keeps, as it does all to {most}"
        return f"{kept_to} (it would be {kept:.0f}); {way_out}"

    def expected(self, value: float) -> str:
        if self.classes is not None:
            return f"a label, 0 to {self.classes - 1}; correct it or its target's classes"
        if not math.isfinite(value):
            return "a finite number; fill it in or drop the row"
        if self.dtype.startswith("float"):
            largest = np.finfo(self.dtype).max
            return f"at most {largest:.3g} ({self.dtype}); correct it or choose another dtype"
        least, most = self.limits()
        return f"a whole number, {least} to {most} ({self.dtype}); correct it or the dtype"


def names(source: str | tuple[str, ...]) -> tuple[str, ...]:
    """Returns the columns; "pixel_{0..63}" is 64 names, both ends included, {00..63} pads them."""
    if not isinstance(source, str):
        return tuple(name for item in source for name in names(item))
    match = re.fullmatch(r"(.*)\{(\d+)\.\.(\d+)\}(.*)", source, re.DOTALL)
    if match is None:
        return (source,)
    before, first, last, after = match.groups()
    width = len(first) if first.startswith("0") else 1
    return tuple(f"{before}{n:0{width}}{after}" for n in range(int(first), int(last) + 1))


def claimed(data: Data) -> set[str]:
    """Returns the columns that are named one by one."""
    sources = [entry.source for entry in data.inputs.values() if entry.source != ALL]
    named = {name for source in sources for name in names(source)}
    return named | targets(data) | {*ids(data), *names(data.ignore), *split_by(data)}


def targets(data: Data) -> set[str]:
    """Returns the columns that targets are made of."""
    return {name for target in data.targets.values() for name in names(target.source)}


def ids(data: Data) -> tuple[str, ...]:
    """Returns the columns that together name a row."""
    if data.id is None:
        return ()
    return (data.id,) if isinstance(data.id, str) else data.id


def groups(data: Data) -> tuple[str, ...]:
    """Returns the columns that together name a row's group."""
    group = data.split.group or ()
    return (group,) if isinstance(group, str) else group


def split_by(data: Data) -> tuple[str, ...]:
    """Returns the columns that the split goes by."""
    return named_split(data) + ((data.split.time,) if data.split.time else ())


def named_split(data: Data) -> tuple[str, ...]:
    """Returns those of them of which the text counts."""
    return ((data.split.by.column,) if data.split.by else ()) + groups(data)


def with_rest(data: Data, there: Iterable[str]) -> Data:
    """Returns the data with the columns that nothing names in the place of `ALL`."""
    rest = tuple(name for name in there if name not in claimed(data))
    inputs = {
        name: replace(entry, source=rest) if entry.source == ALL else entry
        for name, entry in data.inputs.items()
    }
    return replace(data, inputs=inputs)


def input_array(entry: Input) -> ArraySpec:
    kinds: dict[str, Kind] = {"int64": "integer", "string": "text"}
    kind = kinds.get(entry.dtype, "number")
    return ArraySpec(columns=names(entry.source), shape=entry.shape, dtype=entry.dtype, kind=kind)


def target_array(target: Target) -> ArraySpec:
    """Returns the target's spec; a label is no "integer", since 3.0 names class 3 as well."""
    is_label = target.number is not None
    dtype = target.dtype or ("int64" if is_label else "float32")
    kind: Kind = "integer" if dtype == "int64" else "number"
    return ArraySpec(
        columns=names(target.source),
        shape=target.shape,
        dtype=dtype,
        kind="label" if is_label else kind,
        classes=target.number,
        is_target=True,
    )


def kinds_of(arrays: Mapping[str, ArraySpec]) -> dict[str, Kind]:
    """Returns what each column is read as."""
    return {column: array.kind for array in arrays.values() for column in array.columns}


def array_batches(
    table: Table, arrays: Mapping[str, ArraySpec], spread: precision.Spread | None = None
) -> Iterator[Batch]:
    """Yields all arrays by key, rows first, and tells `spread` of the columns that are rounded.

    Raises DataError at the first bad value.
    """
    row = 0
    for batch in table.batches(kinds_of(arrays)):
        if spread is not None:
            for array in arrays.values():
                spread.add({name: batch[name] for name in array.columns}, array.dtype)
        yield {key: _array(table, row, batch, array) for key, array in arrays.items()}
        row += len(next(iter(batch.values())))


def _array(table: Table, row: int, batch: Batch, spec: ArraySpec) -> Array:
    """Returns one batch of the array; `row` is the number of its first row, from 0."""
    first, *more = spec.columns
    rows = len(batch[first])
    if not more:
        return _cast(table, row, first, batch[first], spec).reshape(rows, *spec.shape)
    dtype = object if spec.dtype == "string" else spec.dtype
    array = np.empty((rows, len(spec.columns)), dtype)
    for index, column in enumerate(spec.columns):
        array[:, index] = _cast(table, row, column, batch[column], spec)
    return array.reshape(rows, *spec.shape)


def _cast(table: Table, row: int, column: str, values: Array, spec: ArraySpec) -> Array:
    """Returns a column in the dtype of its array. Raises DataError at a value that is not kept."""
    if spec.kind == "text":
        return _cast_text(table, row, column, values, spec)
    cast = _converted(values, spec)
    if cast.dtype.kind == "f":
        wrong = ~np.isfinite(cast)
    elif values.dtype == object:
        wrong = np.array([value != kept for value, kept in zip(values, cast, strict=True)], bool)
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
        kept = float(cast[rounded][0])
        raise table.fault(row + at, place, f"found {int(value)}, expected {spec.too_coarse(kept)}")
    return cast


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


def _cast_text(table: Table, row: int, column: str, values: Array, spec: ArraySpec) -> Array:
    """Returns objects until the longest text is known.

    An empty text is a missing value in each kind of file, because a CSV does not tell them apart.
    """
    cast = values if spec.dtype == "string" else values.astype(spec.dtype)
    wrong = (values == "") | (cast.astype(object) != values)
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
