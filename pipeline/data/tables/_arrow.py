"""Two readers read through Arrow, and share this."""

from typing import Any

import numpy as np

from pipeline.data.ragged import Lists
from pipeline.data.tables import EMPTY, EXACT, NUMBERS, Array, Kind, Table
from pipeline.data.tables._lists import shape_of, to_lists


def arrow_types() -> dict[Kind, Any]:
    import pyarrow as pa

    numbers: dict[Kind, Any] = {"number": pa.float64(), "label": pa.float64()}
    texts: dict[Kind, Any] = {"text": pa.string(), "id": pa.string(), "any": pa.string()}
    return {**numbers, **texts, "integer": pa.int64()}


def to_numpy(table: Table, row: int, name: str, cells: Any, kind: Kind) -> Array | Lists:
    """Returns an Arrow array as numpy. Raises DataError for a row without a value."""
    if shape_of(cells.type):
        return to_lists(table, row, name, cells, lambda each: _single(table, row, name, each, kind))
    return _single(table, row, name, cells, kind)


def _single(table: Table, row: int, name: str, cells: Any, kind: Kind) -> Array:
    from pyarrow import types

    if cells.null_count:
        empty = cells.is_null().index(True).as_py()
        raise table.fault(row + empty, name, EMPTY)
    if kind not in NUMBERS:
        values = np.empty(len(cells), object)
        values[:] = cells.to_pylist()
        return table.texts(row, name, values)
    if types.is_decimal(cells.type):
        return _from_decimals(cells)
    if cells.type == "bool":
        cells = cells.cast("uint8")
    return np.from_dlpack(cells)  # to_numpy() imports pandas wherever that is installed


def _from_decimals(cells: Any) -> Array:
    """Returns float64, and objects where a whole number is beyond those that it tells apart."""
    values = np.from_dlpack(cells.cast("float64"))
    if np.abs(values).max(initial=0) < EXACT:
        return values
    exact = np.empty(len(cells), object)
    exact[:] = [int(each) if each == int(each) else float(each) for each in cells.to_pylist()]
    return exact
