"""What is written array by array is what numpy would write, and is read as it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import written
from pipeline.frameworks import _npz as npz

DRAW = np.random.default_rng(0).random
ARRAYS = {
    "state/flat": DRAW((3, 4), np.float32),
    "fortran": np.asfortranarray(DRAW((5, 6))),
    "every second": DRAW((9, 8))[::2, 1::3],
    "scalar": np.array(3),
    "empty": np.zeros((0, 3)),
    "text": np.array(["ab", "ü"]),
    "no text": np.array("", "<U0"),
    "other order": np.arange(3).astype(">i4"),
    "axes": (DRAW((30, 7, 9)) + 1j).transpose(1, 0, 2),
}


def test_the_bytes_are_those_of_savez_and_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "numpy.npz", **ARRAYS)  # type: ignore[arg-type]
    monkeypatch.setattr(written, "LARGE", 1)
    monkeypatch.setattr(npz, "CHUNK", 100)
    npz.write(written.WrittenPath(tmp_path / "ours.npz"), ARRAYS.items())
    expected = written.digest(tmp_path / "numpy.npz")
    monkeypatch.delattr(written, "_read_large")
    assert written.digest(tmp_path / "ours.npz") == expected


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Python objects"):
        npz.write(tmp_path / "file.npz", [("name", np.array([None]))])


@pytest.mark.parametrize("least", [1, npz.MAPPED])
@pytest.mark.parametrize("packed", [np.savez, np.savez_compressed])
def test_what_is_read_is_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: Any, least: int
) -> None:
    """Mapped wherever it begins, as it is stored; or read."""
    monkeypatch.setattr(npz, "MAPPED", least)
    packed(tmp_path / "file.npz", **ARRAYS)
    with np.load(tmp_path / "file.npz") as file:
        for name, array in ARRAYS.items():
            found = npz.read(file, name)
            assert found.dtype == array.dtype and found.shape == array.shape
            assert np.array_equal(found, array)


def test_a_large_one_is_mapped_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path, array = tmp_path / "file.npz", np.arange(npz.MAPPED // 4, dtype=np.float32)
    npz.write(path, [("name", array)])
    before = path.read_bytes()
    with np.load(path) as file:
        found = npz.read(file, "name")
    assert isinstance(found.base, np.memmap)
    found += 1
    assert np.array_equal(found, array + 1) and path.read_bytes() == before


def test_a_large_one_of_python_objects_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz, "MAPPED", 1)
    np.savez(tmp_path / "file.npz", name=np.array([None]))
    with np.load(tmp_path / "file.npz") as file, pytest.raises(ValueError, match="Python objects"):
        npz.read(file, "name")
