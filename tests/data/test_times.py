"""Dates and times become numbers as it is stated, the same from each kind of file."""

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.data.times import clock
from pipeline.errors import ParamsError
from testing.prepared import an_input, prepared, refusal, together

DAYS = [datetime(2026, 1, 1) + timedelta(days=i, hours=12 * (i % 2)) for i in range(20)]


def write(folder: Path, times: list[datetime], written: str = "%Y-%m-%dT%H:%M:%S") -> None:
    label = [i % 2 for i in range(len(times))]
    rows = "".join(f"{t.strftime(written)},{n}\n" for t, n in zip(times, label, strict=True))
    (folder / "t.csv").write_text(f"x,label\n{rows}")
    parquet.write_table(pa.table({"x": times, "label": label}), folder / "t.parquet")
    parquet.write_table(
        pa.table({"x": [t.strftime(written) for t in times], "label": label}),
        folder / "text.parquet",
    )
    np.savez(folder / "t.npz", x=np.array(times, "M8[ms]"), label=np.array(label))


@pytest.mark.parametrize("file", ["t.csv", "t.parquet", "text.parquet", "t.npz"])
@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("days since 2026-01-01", [i + 0.5 * (i % 2) for i in range(20)]),
        ("hours since 2025-12-31", [24 * (i + 1) + 12 * (i % 2) for i in range(20)]),
        ("seconds", [(t - datetime(1970, 1, 1)).total_seconds() for t in DAYS]),
        ("microseconds", [(t - datetime(1970, 1, 1)).total_seconds() * 1e6 for t in DAYS]),
    ],
)
def test_a_time_is_counted_from_its_origin(
    tmp_path: Path, file: str, stated: str, expected: list[float]
) -> None:
    write(tmp_path, DAYS)
    inputs = {"x": an_input("x", "float64", time=stated)}
    assert sorted(together(prepared(tmp_path, file, inputs=inputs), "inputs/x")) == expected
    schema = json.loads((tmp_path / "output/schema.json").read_text())
    assert schema["inputs"]["x"] == {"dtype": "float64", "shape": [], "time": stated}


def test_a_zone_is_brought_to_utc(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    write(tmp_path, [t.replace(tzinfo=zone) for t in DAYS], "%Y-%m-%dT%H:%M:%S%z")
    inputs = {"x": an_input("x", "float64", time="hours since 2026-01-01")}
    for file in ("t.csv", "t.parquet", "text.parquet"):
        assert together(prepared(tmp_path, file, inputs=inputs), "inputs/x").min() == -5.5


def test_times_written_otherwise_are_declared(tmp_path: Path) -> None:
    write(tmp_path, DAYS, "%d.%m.%Y %H:%M")
    inputs = {"x": an_input("x", time="days since 2026-01-01")}
    said = refusal(tmp_path, "t.csv", inputs=inputs)
    assert "row 1 (line 2), column 'x': found '01.01.2026 00:00', expected a date or a" in said
    assert "data.csv.time" in said
    settings = {"time": "%d.%m.%Y %H:%M"}
    assert (
        together(prepared(tmp_path, "t.csv", inputs=inputs, csv=settings), "inputs/x").max() == 19.5
    )
    (tmp_path / "output").rename(tmp_path / "before")
    text = (tmp_path / "t.csv").read_text().replace("05.01.2026 00:00", "2026-01-05")
    (tmp_path / "t.csv").write_text(text)
    assert "row 5 (line 6), column 'x': found '2026-01-05'" in refusal(
        tmp_path, "t.csv", inputs=inputs, csv=settings
    )


def test_dates_are_whole_days(tmp_path: Path) -> None:
    days = [date(2026, 1, 1) + timedelta(days=i) for i in range(20)]
    table = pa.table({"x": days, "label": [0, 1] * 10})
    parquet.write_table(table, tmp_path / "t.parquet")
    inputs = {"x": an_input("x", "int64", time="days since 2026-01-01")}
    assert sorted(together(prepared(tmp_path, "t.parquet", inputs=inputs), "inputs/x")) == [
        *range(20)
    ]
    (tmp_path / "output").rename(tmp_path / "before")
    inputs = {"x": an_input("x")}
    assert "dates are read as numbers where the input says which, such as time: days" in refusal(
        tmp_path, "t.parquet", inputs=inputs
    )


def test_seconds_that_float32_does_not_tell_apart_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [t + timedelta(seconds=1) for t in DAYS])
    said = refusal(tmp_path, "t.csv", inputs={"x": an_input("x", time="seconds")})
    assert "found 1767225601, expected a whole number that float32 keeps" in said


@pytest.mark.parametrize("file", ["t.csv", "t.parquet", "t.npz"])
def test_a_time_that_is_missing_is_named_or_filled(tmp_path: Path, file: str) -> None:
    times: list[Any] = [None if i == 6 else t for i, t in enumerate(DAYS)]
    parquet.write_table(pa.table({"x": times, "label": [0, 1] * 10}), tmp_path / "t.parquet")
    rows = "".join(f"{t or ''},{i % 2}\n" for i, t in enumerate(times))
    (tmp_path / "t.csv").write_text(f"x,label\n{rows}")
    np.savez(tmp_path / "t.npz", x=np.array(times, "M8[s]"), label=np.arange(20) % 2)
    entry = an_input("x", time="days since 2026-01-01")
    assert "row 7" in refusal(tmp_path, file, inputs={"x": entry})
    found = together(prepared(tmp_path, file, inputs={"x": entry | {"missing": 0.0}}), "inputs/x")
    assert np.isnan(found).sum() == 1


@pytest.mark.parametrize("stated", ["years", "days after 2020-01-01", "days since 2020-13-01", "s"])
def test_what_is_no_unit_is_refused(stated: str) -> None:
    with pytest.raises(ParamsError, match="expected one of days, hours, minutes, seconds"):
        clock("data.inputs.x.time", stated)


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s", "m", "h", "D", "W", "M"])
def test_each_of_numpys_units_is_counted_alike(unit: str) -> None:
    days = np.array(["2026-02-01", "NaT"], f"M8[{unit}]").astype("M8[D]")
    times = np.array(["2026-02-01", "NaT"], "M8[D]").astype(f"M8[{unit}]")
    expected = (days[0] - np.datetime64("2026-01-01")).astype(int)
    counted = clock("x", "hours since 2026-01-01").count(times)
    assert counted[0] == 24 * expected and np.isnan(counted[1])
