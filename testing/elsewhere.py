"""Checkpoints that were made by a script which knows nothing of the project."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from testing import preloaded
from testing.project import ROOT
from testing.shared import shared

SCRIPTS = ROOT / "tests/end_to_end/elsewhere"
STEPS, MORE, ROWS = 5, 3, 8
"""Steps before saving and after, and rows of each, in the scripts."""


def made(factory: pytest.TempPathFactory, framework: str) -> Path:
    """Returns the folder in which the framework's script ran, in a process of its own that has
    none of the repository on its path, and its framework imported."""

    def make(folder: Path) -> None:
        script = str(SCRIPTS / f"{framework}_script.py")
        code = f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
        done = preloaded.run(framework, folder, "-I", "-c", code, str(folder))
        assert done.returncode == 0, done.stderr

    return shared(factory, f"elsewhere {framework}", make)


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields pixels and labels of the steps that the scripts go on for."""
    for seed in range(STEPS, STEPS + MORE):
        random = np.random.default_rng(seed)
        pixels = random.uniform(0, 16, (ROWS, 64)).astype(np.float32)
        yield pixels, random.integers(0, 10, ROWS)


def stacked() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[np.ndarray]]:
    """Returns their inputs, targets, and the rows of each."""
    pixels, labels = map(np.concatenate, zip(*batches(), strict=True))
    rows = [np.arange(ROWS * step, ROWS * (step + 1)) for step in range(MORE)]
    return {"pixels": pixels}, {"label": labels}, rows
