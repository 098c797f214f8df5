"""Rows read by their position are those of a memory map, and take no memory of the process."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.on_disk import LARGEST_MAP, RowsOnDisk, open_rows
from pipeline.errors import DataError

ARRAYS = {
    "pictures": np.arange(20 * 4 * 3, dtype=np.uint8).reshape(20, 4, 3),
    "numbers": np.arange(20, dtype=np.float64),
    "texts": np.array([[f"text {n}", "ü"] for n in range(20)]),
    "nothing": np.empty((20, 0), np.float32),
}


@pytest.fixture(params=ARRAYS)
def array(request: pytest.FixtureRequest) -> np.ndarray:
    return ARRAYS[request.param]


def saved(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "array.npy", array)
    return folder / "array.npy"


@pytest.mark.parametrize(
    "rows",
    [
        *(3, np.int64(-1), slice(None), slice(2, 9), slice(15, None, -3), slice(9, 2)),
        *([5, 5, 0], np.array([-1, 19]), np.arange(20)[::-1], np.arange(20) % 3 == 0),
        np.array([], np.int64),
    ],
    ids=str,
)
def test_it_gives_the_rows_that_an_array_gives(tmp_path: Path, array, rows) -> None:
    on_disk = RowsOnDisk(saved(tmp_path, array))
    found, expected = on_disk[rows], array[rows]
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.array_equal(found, expected)
    assert len(on_disk) == len(array) and on_disk.shape == array.shape
    assert on_disk.ndim == array.ndim and on_disk.size == array.size
    assert np.array_equal(np.asarray(on_disk), array)


def test_what_is_asked_for_may_be_written_to(tmp_path: Path) -> None:
    rows = RowsOnDisk(saved(tmp_path, ARRAYS["numbers"]))[:2]
    rows += 1
    assert rows.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("rows", [20, -21, [0, 20], [0.5], [[1]], [True]], ids=str)
def test_rows_that_are_not_there_are_refused(tmp_path: Path, rows) -> None:
    with pytest.raises(IndexError):
        RowsOnDisk(saved(tmp_path, ARRAYS["numbers"]))[rows]


def test_another_process_opens_the_file_itself(tmp_path: Path) -> None:
    rows = RowsOnDisk(saved(tmp_path, ARRAYS["pictures"]))
    assert len(pickle.dumps(rows)) < 500
    assert np.array_equal(pickle.loads(pickle.dumps(rows))[:], ARRAYS["pictures"])


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, ARRAYS["numbers"])
    rows = RowsOnDisk(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"array\.npy: ends early, expected shape \(20,\)"):
        rows[19]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no array", "no .npy file"),
        (np.array([{}], object), "objects"),
        (np.array(3.0), "a single value"),
        (np.asfortranarray(np.ones((3, 4))), "column-major"),
    ],
)
def test_what_has_no_rows_of_values_is_refused(tmp_path: Path, content, words) -> None:
    path = tmp_path / "array.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(DataError, match=words):
        RowsOnDisk(path)


def test_a_small_array_is_mapped_as_a_step_costs_less_so(tmp_path: Path) -> None:
    assert isinstance(open_rows(saved(tmp_path, ARRAYS["numbers"])), np.memmap)
    large = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.uint8, (LARGEST_MAP, 2))
    large.flush()
    assert isinstance(open_rows(tmp_path / "large.npy"), RowsOnDisk)


READ_ALL = """
import sys
from pathlib import Path
import numpy as np
from pipeline.data.on_disk import RowsOnDisk
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
array = RowsOnDisk(Path(sys.argv[1])) if sys.argv[2] == "disk" else np.load(sys.argv[1], "r")
total = sum(int(array[row : row + 64].sum()) for row in range(0, len(array), 64))
print(peak() - before)
"""


def grown(path: Path, way: str) -> int:
    command = [sys.executable, "-c", READ_ALL, str(path), way]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_reading_all_rows_takes_no_memory_where_a_map_takes_that_of_the_file(tmp_path) -> None:
    path = tmp_path / "large.npy"
    np.save(path, np.ones((20_000, 4096), np.uint8))
    assert grown(path, "disk") < 8_000 < 60_000 < grown(path, "map")
