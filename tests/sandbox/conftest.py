"""A place for attempts, and what must have come of none of them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from testing.confined import Den


@pytest.fixture
def den() -> Iterator[Den]:
    """On a disk: what is counted of a folder is its blocks, and in memory it has none."""
    with tempfile.TemporaryDirectory(prefix="den-", dir="/var/tmp") as name:
        root = Path(name)
        for folder in ("model", "given", "outside"):
            (root / folder).mkdir(parents=True)
        (root / "outside/secret").write_text("token")
        np.array([1, 2, 3], np.float32).tofile(root / "model/weights.npy")
        np.savez(root / "given/one.npz", **{"input.x": np.ones((1, 3), np.float32)})
        np.save(root / "given/x.npy", np.ones((5, 3), np.float32))
        yield Den(root)
        assert sorted(path.name for path in (root / "outside").iterdir()) == ["secret"]
        assert (root / "outside/secret").read_text() == "token"
