"""Columns of a Parquet file as other programs write them."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.data.tables import Kind, open_table
from pipeline.errors import DataError
from testing.prepared import prepared, together


def column(folder: Path, values: Any, kind: Kind, optional: bool = False) -> list[Any]:
    """What a column is read as."""
    parquet.write_table(pa.table({"x": values}), folder / "t.parquet")
    table = open_table(folder / "t.parquet")
    table.optional = frozenset({"x"} if optional else ())
    table.demand_kinds({"x": kind})
    return [value for batch in table.batches({"x": kind}) for value in batch["x"].tolist()]


nan = float("nan")
SOON = datetime(1970, 1, 1, 0, 0, 1, 500_000)
READ: dict[str, tuple[Any, Kind, list[Any]]] = {
    "integers_with_gaps": (pa.array([1, None, 3], pa.int32()), "number", [1.0, nan, 3.0]),
    "booleans_with_gaps": (pa.array([True, None, False]), "number", [1.0, nan, 0.0]),
    "large_integers_with_gaps": (pa.array([2**53 + 1, None]), "number", [2**53 + 1, nan]),
    "decimals_with_gaps": (pa.array([Decimal("1.50"), None]), "number", [1.5, nan]),
    "large_decimals_with_gaps": (pa.array([Decimal(2**60 + 1), None]), "number", [2**60 + 1, nan]),
    "texts_with_gaps": (pa.array(["a", None]), "text", ["a", ""]),
    "categories": (pa.array(["b", "a", "b"]).dictionary_encode(), "text", ["b", "a", "b"]),
    "categories_of_numbers": (pa.array([7, 8, 7]).dictionary_encode(), "number", [7, 8, 7]),
    "names_of_whole_floats": (pa.array([3.0, 4.5]), "name", ["3", "4.5"]),
    "names_of_booleans": (pa.array([True, False]), "name", ["true", "false"]),
    "names_of_integers": (pa.array([7, 8]), "name", ["7", "8"]),
    "dates": (pa.array([date(2026, 1, 31), None]), "time", [datetime(2026, 1, 31), None]),
    "times_as_texts": (pa.array(["2026-01-31 12:30"]), "time", [datetime(2026, 1, 31, 12, 30)]),
    "times_of_day": (pa.array([1500], pa.time32("ms")), "time", [SOON]),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_column_is_read_as_it_is_meant(tmp_path: Path, case: str) -> None:
    values, kind, expected = READ[case]
    found = column(tmp_path, values, kind, optional=True)
    np.testing.assert_equal(found, expected)
    if values.null_count:
        with pytest.raises(DataError, match="row 2, column 'x': the cell is empty"):
            column(tmp_path, values, kind)


def test_a_time_with_a_zone_is_that_of_utc(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=2))
    moment = datetime(2026, 1, 31, 1, 0, tzinfo=zone)
    for values in (pa.array([moment]), pa.array(["2026-01-31T01:00:00+02:00"])):
        assert column(tmp_path, values, "time") == [datetime(2026, 1, 30, 23, 0)]


def test_a_text_that_is_no_time_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2, column 'x': found 'noon', expected a date or a"):
        column(tmp_path, pa.array(["2026-01-31", "noon"]), "time")


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    """Its nullable integers and booleans, categories, and an index of its own."""
    frame = pd.DataFrame(
        {
            "x": pd.array([*range(19), 3], dtype="Int64"),
            "flag": pd.array([True, False] * 10, dtype="boolean"),
            "town": pd.Categorical(["Köln", "Bonn"] * 10),
            "label": pd.array([False, True] * 10, dtype="boolean"),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    inputs = {
        name: {"source": name, "shape": [], "dtype": dtype}
        for name, dtype in {"x": "int64", "flag": "uint8", "town": "string"}.items()
    }
    arrays = prepared(tmp_path, "t.parquet", inputs=inputs)
    assert sorted(together(arrays, "inputs/x").tolist()) == sorted([*range(19), 3])
    assert np.array_equal(
        together(arrays, "inputs/flag") + together(arrays, "targets/label"), [1] * 20
    )
    assert set(together(arrays, "inputs/town")) == {"Köln", "Bonn"}
