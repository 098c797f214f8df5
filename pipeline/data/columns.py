"""A table's columns become the declared arrays: no value is missing, out of range or, if it is
whole, rounded."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from pipeline.config.data_params import Data, Input, Target
from pipeline.data import precision, times
from pipeline.data.array_spec import ArraySpec
from pipeline.data.casting import cast, cast_text
from pipeline.data.lists import Lists, as_lists, axes_of, values_of
from pipeline.data.tables import Array, Batch, Kind, RowsOfLists, Table
from pipeline.errors import ParamsError

ALL = "all but the target"
"""A source: each column that nothing else names."""


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
    sources = [e.source for e in data.inputs.values() if e.source != ALL and not e.masks]
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
    """Returns the input's spec; what a tokenizer will make ids of is a text until there is one."""
    if entry.tokenizer is not None:
        return ArraySpec(
            columns=names(entry.source),
            shape=(),
            dtype="string",
            kind="text",
            optional=entry.missing is not None,
        )
    kinds: dict[str, Kind] = {"int64": "integer", "string": "text"}
    kind = kinds.get(entry.dtype, "number")
    listed = entry.categories if isinstance(entry.categories, tuple) else None
    return ArraySpec(
        columns=names(entry.source),
        shape=sizes(entry.shape),
        dtype=entry.dtype,
        kind="time" if entry.time else "name" if entry.categories else kind,
        clock=times.clock("data.inputs: time", entry.time) if entry.time else None,
        names=listed,
        most_names=None if isinstance(entry.categories, tuple) else entry.categories,
        optional=entry.missing is not None,
        row=entry.shape if entry.dimensions else (),
    )


def target_array(target: Target) -> ArraySpec:
    """Returns the target's spec; a label is no "integer", since 3.0 names class 3 as well."""
    is_label = target.number is not None
    dtype = target.dtype or ("int64" if is_label else "float32")
    kind: Kind = "integer" if dtype == "int64" else "number"
    return ArraySpec(
        columns=names(target.source),
        shape=sizes(target.shape),
        dtype=dtype,
        kind="name" if target.labels else "label" if is_label else kind,
        classes=target.number,
        names=target.labels,
        is_target=True,
        row=target.shape if target.dimensions else (),
    )


def sizes(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """Returns a shape without the dimensions that vary."""
    return tuple(size for size in shape if isinstance(size, int))


def kinds_of(arrays: Mapping[str, ArraySpec]) -> dict[str, Kind]:
    """Returns what each column is read as. Raises ParamsError for two things at once."""
    kinds: dict[str, Kind] = {}
    for key, array in arrays.items():
        for column in array.columns:
            other = kinds.get(column, array.kind)
            if other != array.kind and {other, array.kind} & {"text", "name", "time"}:
                raise ParamsError(
                    f"data.{key.replace('/', '.')}: column {column!r} is a {array.kind} here and a "
                    f"{other} elsewhere; declare it alike, or copy the column"
                )
            kinds[column] = array.kind
    return kinds


def optional(arrays: Mapping[str, ArraySpec]) -> frozenset[str]:
    """Returns the columns in which a value may be missing."""
    return frozenset(name for each in arrays.values() if each.optional for name in each.columns)


def array_batches(
    table: Table, arrays: Mapping[str, ArraySpec], spread: precision.Spread | None = None
) -> Iterator[Batch]:
    """Yields all arrays by key, rows first, and tells `spread` of the columns that are rounded.

    Raises DataError at the first bad value.
    """
    row, kinds = 0, kinds_of(arrays)
    for batch in table.batches_with_gaps(kinds, optional(arrays)):
        if spread is not None:
            for array in arrays.values():
                spread.add({n: values_of(batch[n]) for n in array.columns}, array.dtype)
        yield {key: _array(table, row, batch, array) for key, array in arrays.items()}
        row += len(next(iter(batch.values())))


def _array(table: Table, row: int, batch: Batch, spec: ArraySpec) -> Array | Lists:
    """Returns one batch of the array; `row` is the number of its first row, from 0."""
    first, *more = spec.columns
    rows = len(batch[first])
    if spec.encode is not None:
        texts = cast_text(table, row, first, batch[first], replace(spec, dtype="string"))
        return spec.encode(texts)
    if spec.row or isinstance(batch[first], Lists):
        return _lists(table, row, first, as_lists(batch[first], axes_of(spec.template)), spec)
    if not more:
        return cast(table, row, first, batch[first], spec).reshape(rows, *spec.shape)
    dtype = object if spec.dtype == "string" else spec.dtype
    array = np.empty((rows, len(spec.columns)), dtype)
    for index, column in enumerate(spec.columns):
        array[:, index] = cast(table, row, column, batch[column], spec)
    return array.reshape(rows, *spec.shape)


def _lists(table: Table, row: int, column: str, lists: Lists, spec: ArraySpec) -> Array | Lists:
    """Returns rows that have as many values as they have, or of a fixed shape as an array."""
    shape = spec.shape if spec.row else spec.shape[1:]
    if lists.values.size and lists.values.shape[1:] != shape:
        inner, wanted = lists.values.shape[1:], list(shape)
        raise table.fault(row, column, f"found values of {list(inner)}, expected {wanted}")
    values = cast(RowsOfLists(table, row, lists), 0, column, lists.values, spec)
    if spec.row:
        return Lists(values.reshape(-1, *shape), lists.lengths)
    wrong = np.flatnonzero(lists.lengths != spec.shape[0])
    if len(wrong):
        number = lists.lengths[wrong[0]]
        way_out = "correct the row, or name a dimension that varies in the place of the number"
        problem = f"found {number} values, expected {spec.shape[0]}; {way_out}"
        raise table.fault(row + int(wrong[0]), column, problem)
    return values.reshape(-1, *spec.shape)
