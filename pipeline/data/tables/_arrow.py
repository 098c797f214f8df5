"""Two readers read through Arrow, and share this."""

from typing import Any

import numpy as np

from pipeline.data.tables import EMPTY, Array, Kind, Table


def arrow_types() -> dict[Kind, Any]:
    import pyarrow as pa

    return {"number": pa.float64(), "integer": pa.int64(), "text": pa.string()}


def to_numpy(table: Table, row: int, name: str, cells: Any, kind: Kind) -> Array:
    """Returns an Arrow array as numpy. Raises DataError for a row without a value."""
    if cells.null_count:
        empty = cells.is_null().index(True).as_py()
        raise table.fault(row + empty, name, EMPTY)
    if kind == "text":
        values = np.empty(len(cells), object)
        values[:] = cells.to_pylist()
        return table.texts(row, name, values)
    if cells.type == "bool":
        cells = cells.cast("uint8")
    return np.from_dlpack(cells)  # to_numpy() imports pandas wherever that is installed
