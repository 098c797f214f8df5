"""Each column of the file is declared, and each declared one is there, of its kind and shape."""

import math
from collections.abc import Mapping, Sequence

from pipeline.data import columns
from pipeline.data.columns import ArraySpec
from pipeline.data.tables import Kind, Table


def listing(names: Sequence[str]) -> str:
    return (", ".join(names[:12]) or "nothing") + (", ..." if names[12:] else "")


def demand(table: Table, id_column: str | None, arrays: Mapping[str, ArraySpec]) -> None:
    """Raises DataError at the first column that is not as it is declared."""
    declared = {column for array in arrays.values() for column in array.columns}
    declared |= {id_column} if id_column else set()
    for column in sorted(declared - set(table.shapes)):
        raise table.broken(f"no column {column!r}; {_columns_there(table, column)}")
    for column in table.shapes:
        if column not in declared:
            raise table.broken(f"column {column!r} is no input, target or id: remove or declare it")
    ids: dict[str, Kind] = {id_column: "id"} if id_column else {}
    table.demand_kinds(columns.kinds_of(arrays) | ids)
    for key, array in arrays.items():
        _demand_shape(table, key, array)
    if id_column and table.shapes[id_column]:
        shape = table.shapes[id_column]
        raise table.broken(f"column {id_column!r}: found shape {shape} a row, expected one id")


def _columns_there(table: Table, column: str) -> str:
    names = list(table.shapes)
    there = f"it has {listing([repr(name) for name in names])}"
    near = next((name for name in names if name.strip() == column.strip()), None)
    return f"{there}; look at the spaces of {near!r}" if near else there


def _demand_shape(table: Table, key: str, array: ArraySpec) -> None:
    shapes = [table.shapes[column] for column in array.columns]
    cells = not any(shapes) and math.prod(array.shape) == len(shapes)
    if cells or shapes == [array.shape]:
        return
    actual = f"shape {shapes[0]} a row" if any(shapes) else f"{len(shapes)} columns"
    place, way_out = key, f"correct data.{key.replace('/', '.')}"
    if array.is_target:
        place, way_out = "data.target.source", "make it one value a row (an array: y.ravel())"
    raise table.broken(f"{place}: found {actual}, expected shape {array.shape}; {way_out}")
