"""Writes the matrix."""

from pathlib import Path
from typing import Any

import numpy as np

from ..dimensions import FIXED, Dimensions


def export(
    model: Any,
    inputs: dict[str, Any],
    outputs: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError("matrix: takes a model with one input and one output")
    np.save(directory / "model.npy", model.weights)
