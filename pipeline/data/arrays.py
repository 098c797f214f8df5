"""What `prepare` wrote, as memory-mapped arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np

Split = tuple[dict[str, np.ndarray], np.ndarray]


def schema(directory: Path) -> dict[str, Any]:
    """Inputs by name with dtype and row shape, the target, and the rows of each split."""
    found: dict[str, Any] = json.loads((directory / "schema.json").read_text())
    return found


def split(directory: Path, name: str) -> Split:
    """Inputs by name, in the order of the model's call, and the target; rows first."""
    inputs = {
        key: np.load(directory / name / "inputs" / f"{key}.npy", mmap_mode="r")
        for key in schema(directory)["inputs"]
    }
    return inputs, np.load(directory / name / "target.npy", mmap_mode="r")
