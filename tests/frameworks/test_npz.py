"""What is written array by array is what numpy would write."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import written
from pipeline.frameworks import _npz as npz


def test_the_bytes_are_those_of_savez_and_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0).random
    arrays = {
        "state/flat": draw((3, 4), np.float32),
        "fortran": np.asfortranarray(draw((5, 6))),
        "every second": draw((9, 8))[::2, 1::3],
        "scalar": np.array(3),
        "empty": np.zeros((0, 3)),
        "text": np.array(["ab", "ü"]),
        "no text": np.array("", "<U0"),
        "other order": np.arange(3).astype(">i4"),
        "axes": (draw((30, 7, 9)) + 1j).transpose(1, 0, 2),
    }
    np.savez(tmp_path / "numpy.npz", **arrays)  # type: ignore[arg-type]
    monkeypatch.setattr(written, "LARGE", 1)
    monkeypatch.setattr(npz, "CHUNK", 100)
    npz.write(written.WrittenPath(tmp_path / "ours.npz"), arrays.items())
    expected = written.digest(tmp_path / "numpy.npz")
    monkeypatch.delattr(written, "_read_large")
    assert written.digest(tmp_path / "ours.npz") == expected


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Python objects"):
        npz.write(tmp_path / "file.npz", [("name", np.array([None]))])
