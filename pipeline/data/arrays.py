"""The output of `prepare` is read as memory-mapped arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np

Split = tuple[dict[str, np.ndarray], np.ndarray]


def schema(directory: Path) -> dict[str, Any]:
    """Returns inputs by name with dtype and row shape, the target, and the rows of each split."""
    content: dict[str, Any] = json.loads((directory / "schema.json").read_text())
    return content


def split(directory: Path, name: str) -> Split:
    """Returns inputs by name, in the order of the model's call, and the target; rows first."""
    inputs = {
        key: np.load(directory / name / "inputs" / f"{key}.npy", mmap_mode="r")
        for key in schema(directory)["inputs"]
    }
    return inputs, np.load(directory / name / "target.npy", mmap_mode="r")
