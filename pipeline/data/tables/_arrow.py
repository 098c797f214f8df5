"""Two readers read through Arrow, and share this."""

from typing import Any

import numpy as np

from pipeline.data.lists import Lists
from pipeline.data.tables import EMPTY, EXACT, NO_TIME, NUMBERS, Array, Kind, Table
from pipeline.data.tables._lists import shape_of, to_lists


def to_numpy(table: Table, row: int, name: str, cells: Any, kind: Kind) -> Array | Lists:
    """Returns an Arrow array as numpy. Raises DataError for a row without a value, unless the
    column is optional."""
    if shape_of(cells.type):
        return to_lists(table, row, name, cells, lambda each: _single(table, row, name, each, kind))
    return _single(table, row, name, cells, kind)


def _single(table: Table, row: int, name: str, cells: Any, kind: Kind) -> Array:
    from pyarrow import types

    if cells.null_count and name not in table.optional:
        empty = cells.is_null().index(True).as_py()
        raise table.fault(row + empty, name, EMPTY)
    if types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if kind == "time":
        return _times(table, row, name, cells)
    if kind not in NUMBERS:
        values = np.empty(len(cells), object)
        values[:] = cells.to_pylist()
        return table.texts(row, name, values)
    if types.is_decimal(cells.type):
        return _from_decimals(cells)
    if cells.type == "bool":
        cells = cells.cast("uint8")
    if cells.null_count:
        return _with_missing(cells)
    return np.from_dlpack(cells)  # to_numpy() imports pandas wherever that is installed


def _with_missing(cells: Any) -> Array:
    """Returns float64 with NaN for nothing, and objects where an integer is beyond those that
    float64 tells apart."""
    from pyarrow import types

    if types.is_integer(cells.type) and cells.type.bit_width == 64:
        known = [0 if each is None else each for each in cells.to_pylist()]
        if max(map(abs, known)) >= EXACT:
            values = np.empty(len(cells), object)
            values[:] = [float("nan") if each is None else each for each in cells.to_pylist()]
            return values
    return np.from_dlpack(cells.cast("float64").fill_null(float("nan")))


def _times(table: Table, row: int, name: str, cells: Any) -> Array:
    """Returns datetime64 in the column's own unit; nothing is NaT."""
    from pyarrow import types

    if types.is_date(cells.type):
        cells = cells.cast("timestamp[s]" if types.is_date32(cells.type) else "timestamp[ms]")
    if types.is_time(cells.type):  # counts from midnight, as a timestamp does from 1970-01-01
        whole = cells.cast("int32" if types.is_time32(cells.type) else "int64").cast("int64")
        cells = whole.cast(f"timestamp[{cells.type.unit}]")
    if not types.is_timestamp(cells.type):
        cells = _parsed_times(table, row, name, cells)
    nothing = np.iinfo(np.int64).min
    return np.from_dlpack(cells.cast("int64").fill_null(nothing)).view(f"M8[{cells.type.unit}]")


def _parsed_times(table: Table, row: int, name: str, cells: Any) -> Any:
    """Returns times of texts; the column's first says whether they have a zone."""
    import pyarrow as pa

    texts = cells.to_pylist()
    expected = table.time_types.setdefault(name, time_type(next(filter(None, texts), "")))
    try:
        return cells.cast(expected)
    except pa.ArrowInvalid:
        for at, text in enumerate(texts):
            if text is not None and not parses(text, expected):
                raise table.fault(row + at, name, f"found {text!r}, {NO_TIME}") from None
        raise


def parses(text: str, expected: Any) -> bool:
    """Returns whether Arrow reads the text as this type."""
    import pyarrow as pa

    try:
        pa.scalar(text.strip()).cast(expected)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return False
    return True


def time_type(text: str) -> Any:
    """Returns Arrow's type for times written like this one: with a zone or without."""
    import pyarrow as pa

    clock = text.strip()[10:]
    return pa.timestamp("us", "UTC" if clock.endswith("Z") or set("+-") & set(clock) else None)


def _from_decimals(cells: Any) -> Array:
    """Returns float64, and objects where a whole number is beyond those that it tells apart."""
    values = np.from_dlpack(cells.cast("float64").fill_null(float("nan")))
    if not (np.abs(values) >= EXACT).any():
        return values
    exact = np.empty(len(cells), object)
    exact[:] = [_exact(each) for each in cells.to_pylist()]
    return exact


def _exact(value: Any) -> int | float:
    if value is None:
        return float("nan")
    return int(value) if value == int(value) else float(value)
