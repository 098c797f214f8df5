"""Each column of the file is declared, and each declared one is there, of its kind and shape."""

import math
from collections.abc import Mapping, Sequence

from pipeline.config.data_params import Data
from pipeline.data import columns
from pipeline.data.array_spec import ArraySpec
from pipeline.data.tables import Kind, Table


def listing(names: Sequence[str]) -> str:
    return (", ".join(names[:12]) or "nothing") + (", ..." if names[12:] else "")


def demand(table: Table, data: Data, arrays: Mapping[str, ArraySpec]) -> None:
    """Raises DataError at the first column that is not as it is declared."""
    ids: dict[str, Kind] = dict.fromkeys(columns.ids(data), "name")
    known = {column for array in arrays.values() for column in array.columns} | set(ids)
    known |= set(columns.split_by(data))
    ignored = set(columns.names(data.ignore))
    for column in sorted((known | ignored) - set(table.shapes)):
        raise table.broken(f"no column {column!r}; {_columns_there(table, column)}{table.hint}")
    for column in table.shapes:
        if column not in known | ignored:
            way_out = f"declare it, or name it in data.ignore{table.hint}"
            raise table.broken(f"column {column!r} is no input, target or id: {way_out}")
    varying = [each for each in arrays.values() if each.row]
    table.let_vary({name: each.template for each in varying for name in each.columns})
    table.demand_kinds(columns.kinds_of(arrays) | ids)
    table.demand_kinds(dict.fromkeys(columns.named_split(data), "name"))
    if data.split.time:
        table.demand_kinds({data.split.time: table.order_kind(data.split.time)})
    for key, array in arrays.items():
        _demand_shape(table, key, array)
    for column in (*ids, *columns.split_by(data)):
        if shape := table.shapes[column]:
            raise table.broken(f"column {column!r}: found shape {shape} a row, expected one value")


def _columns_there(table: Table, column: str) -> str:
    names = list(table.shapes)
    there = f"it has {listing([repr(name) for name in names])}"
    near = next((name for name in names if name.strip() == column.strip()), None)
    return f"{there}; look at the spaces of {near!r}" if near else there


def _demand_shape(table: Table, key: str, array: ArraySpec) -> None:
    shapes = [table.shapes[column] for column in array.columns]
    cells = not (array.row or any(shapes)) and math.prod(array.shape) == len(shapes)
    if cells or (len(shapes) == 1 and _fits(shapes[0], array)):
        return
    if lists := [n for n in array.columns if None in table.shapes[n]] if not array.row else []:
        way_out = "name a dimension that varies in its shape, or make columns of it"
        raise table.broken(
            f"column {lists[0]!r}: found lists, expected shape {array.shape} a row; {way_out}"
        )
    actual = f"shape {shapes[0]} a row" if any(shapes) else f"{len(shapes)} columns"
    way_out = f"correct data.{key.replace('/', '.')}"
    if array.is_target and not array.shape:
        way_out = f"make it one value a row (an array: y.ravel()), or {way_out}.shape"
    expected = list(array.row) if array.row else array.shape
    raise table.broken(f"{key}: found {actual}, expected shape {expected}; {way_out}")


def _fits(found: tuple[int | None, ...], array: ArraySpec) -> bool:
    """Returns whether rows of this shape can be the array's; of lists it shows when they are
    read."""
    expected = array.template or array.shape
    pairs = zip(found, expected, strict=False)
    alike = all(one is None or other is None or one == other for one, other in pairs)
    return alike and len(found) == len(expected)
