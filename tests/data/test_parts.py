"""Many files are read as one table, in the order of their names; the part at fault is named."""

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.data.npy_columns import grouped
from testing.project import ROOT
from testing.raw_data import RawData

X = {"x": {"source": "a", "shape": [], "dtype": "float32"}}


def config(file: str, **changes: Any) -> dict[str, Any]:
    return {"file": file, "inputs": X} | changes


def table(rows: Sequence[int]) -> dict[str, np.ndarray]:
    return {"a": np.array(rows, np.float64), "label": np.array(rows) % 2}


def write(raw: RawData, name: str, columns: dict[str, np.ndarray]) -> None:
    path = raw.write(name, "")
    if path.suffix == ".csv":
        rows = [columns, *zip(*columns.values(), strict=True)]
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    else:
        np.savez(path, **columns)


@pytest.fixture(params=["csv", "parquet", "npz"])
def parts(request: pytest.FixtureRequest, raw: RawData) -> tuple[RawData, str]:
    """Rows 0 to 19 in three files below parts/."""
    for name, rows in {"p0": range(7), "p1": range(7, 12), "p2": range(12, 20)}.items():
        write(raw, f"parts/{name}.{request.param}", table(rows))
    return raw, request.param


@pytest.mark.parametrize("file", ["parts", "parts/", "parts/*", "parts/p[0-9].*", "**/p*"])
def test_parts_give_what_one_file_gives(parts, file) -> None:
    raw, suffix = parts
    together = raw.prepare(**config(file))
    write(raw, f"whole.{suffix}", table(range(20)))
    alone = raw.prepare(**config(f"whole.{suffix}"))
    assert together.keys() == alone.keys()
    assert all(np.array_equal(together[name], alone[name]) for name in alone)


def test_a_pattern_may_take_some_of_them(parts) -> None:
    raw, suffix = parts
    assert len(raw.prepare(**config(f"parts/p[12].{suffix}"))["x"]) == 13


def test_notes_and_hidden_files_are_no_parts(parts) -> None:
    raw, _ = parts
    for name in (".hidden", "p3.dvc", "README.md"):
        raw.write(f"parts/{name}", "x")
    assert len(raw.prepare(**config("parts"))["x"]) == 20


def test_a_part_with_other_columns_is_named(parts) -> None:
    raw, suffix = parts
    write(raw, f"parts/p1.{suffix}", {"b": np.arange(3.0), "label": np.arange(3) % 2})
    raw.refuses(f"parts/p1.{suffix}: no column 'a', which p0.{suffix} has", **config("parts"))
    write(raw, f"parts/p1.{suffix}", table(range(3)) | {"b": np.arange(3.0)})
    raw.refuses(f"parts/p1.{suffix}: column 'b' is not in p0.{suffix}", **config("parts"))


def test_a_part_with_another_type_is_named(parts) -> None:
    raw, suffix = parts
    texts = table(range(3)) | {"a": np.array(["one", "two", "three"])}
    write(raw, f"parts/p1.{suffix}", texts)
    raw.refuses(f"parts/p1.{suffix}", **config("parts"))


def test_a_bad_value_is_named_by_its_row_within_its_part(parts) -> None:
    raw, suffix = parts
    odd = table(range(5))
    odd["a"][3] = np.inf
    write(raw, f"parts/p1.{suffix}", odd)
    raw.refuses(f"parts/p1.{suffix}: row 4", "'a'", "inf", **config("parts"))
    fifth = table(range(8))
    fifth["label"][4] = 9
    write(raw, f"parts/p1.{suffix}", table(range(5)))
    write(raw, f"parts/p2.{suffix}", fifth)
    raw.refuses(f"parts/p2.{suffix}: row 5", "'label'", "found 9", **config("parts"))


def test_an_id_that_comes_twice_is_named_across_parts(parts) -> None:
    raw, suffix = parts
    write(raw, f"parts/p2.{suffix}", table([3, 4, 5]))
    inputs = {"x": {"source": "label", "shape": [], "dtype": "float32"}}
    targets = {"y": {"source": "b", "classes": None}}
    for name, rows in {"p0": range(7), "p1": range(7, 12), "p2": [12, 3]}.items():
        write(raw, f"parts/{name}.{suffix}", table(rows) | {"b": np.array(rows) / 3})
    message = raw.refuses(
        "the id of row 4 again", **config("parts", inputs=inputs, targets=targets, id="a")
    )
    assert f"parts/p2.{suffix}: row 2" in message


def test_files_of_two_kinds_are_no_table(parts) -> None:
    raw, suffix = parts
    other = "csv" if suffix != "csv" else "parquet"
    write(raw, f"parts/p3.{other}", table(range(3)))
    raw.refuses("data/parts: holds ", " and ", "a pattern", **config("parts"))


def test_a_pattern_without_files_is_answered_with_what_lies_there(parts) -> None:
    raw, suffix = parts
    raw.refuses("no file of this pattern", f"parts/p0.{suffix}", **config("parts/*.tsv"))


def test_what_a_script_beside_it_makes_is_said(raw: RawData) -> None:
    raw.write("arrows.py", "")
    raw.refuses("data/arrows: no such file", "arrows.py`", **config("arrows"))


def test_memory_does_not_grow_with_the_parts(raw: RawData) -> None:
    """The rows take 80 MB; by VmHWM, for ru_maxrss starts from the size of this process."""
    for part in range(10):
        npy(raw, f"arrays/a_{part}.npy", np.full((1000, 2000), part, np.float32))
        npy(raw, f"arrays/label_{part}.npy", np.arange(1000) % 2)
    script = """
        import sys
        from pathlib import Path
        from testing.raw_data import RawData
        peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        x = {"x": {"source": "a", "shape": [2000], "dtype": "float32"}}
        import numpy, pipeline.data.many_files
        before = peak()
        RawData(Path(sys.argv[1])).write_arrays(file="arrays", inputs=x)
        print(peak() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(raw.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 25_000


def test_an_empty_folder_is_named(raw: RawData) -> None:
    (raw.data / "parts").mkdir()
    raw.refuses("data/parts: an empty folder", **config("parts"))


def npy(raw: RawData, name: str, array: np.ndarray) -> None:
    np.save(raw.write(name, ""), array)


def test_arrays_in_files_of_their_own_are_columns(raw: RawData) -> None:
    npy(raw, "arrays/a.npy", np.arange(20.0))
    npy(raw, "arrays/label.npy", np.arange(20) % 2)
    assert sorted(raw.prepare(**config("arrays"))["x"]) == list(range(20))


def test_numbered_arrays_are_parts(raw: RawData) -> None:
    for part, rows in enumerate([range(12), range(12, 20)]):
        npy(raw, f"arrays/a_{part:03}.npy", np.array(rows, float))
        npy(raw, f"arrays/label_{part:03}.npy", np.array(rows) % 2)
    arrays = raw.prepare(**config("arrays"))
    assert sorted(arrays["x"]) == list(range(20))
    assert np.array_equal(arrays["x"] % 2, arrays["label"])


def test_names_with_a_number_of_their_own_are_columns(tmp_path) -> None:
    names = [tmp_path / f"{name}.npy" for name in ("x1", "x2", "y")]
    assert [sorted(part) for part in grouped(names)] == [["x1", "x2", "y"]]


def test_arrays_that_do_not_fit_together_are_named(raw: RawData) -> None:
    npy(raw, "arrays/a.npy", np.arange(20.0))
    npy(raw, "arrays/label.npy", np.arange(19) % 2)
    raw.refuses("arrays/label.npy: found 19 rows, where a.npy has 20", **config("arrays"))
    npy(raw, "arrays/label.npy", np.array([f"n{n}" for n in range(20)]))
    raw.refuses("arrays/label.npy: found text", **config("arrays"))
    npy(raw, "arrays/label.npy", np.full(20, 7))
    raw.refuses("arrays/label.npy: row 1", "found 7", **config("arrays"))


def test_a_thousand_parts_are_not_all_open_at_once(raw: RawData) -> None:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    for part in range(100):
        npy(raw, f"arrays/a_{part}.npy", np.arange(2.0) + part)
        npy(raw, f"arrays/label_{part}.npy", np.arange(2))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 50, most[1]))
        assert len(raw.prepare(**config("arrays"))["x"]) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
