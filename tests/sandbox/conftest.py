"""A place for attempts, and what must have come of none of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from testing.confined import Den


@pytest.fixture
def den(tmp_path: Path) -> Iterator[Den]:
    for folder in ("model", "given", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "outside/secret").write_text("token")
    np.array([1, 2, 3], np.float32).tofile(tmp_path / "model/weights.npy")
    np.savez(tmp_path / "given/one.npz", **{"input.x": np.ones((1, 3), np.float32)})
    np.save(tmp_path / "given/x.npy", np.ones((5, 3), np.float32))
    yield Den(tmp_path)
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["secret"]
    assert (tmp_path / "outside/secret").read_text() == "token"
