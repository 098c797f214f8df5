"""Lets in one matrix of numbers."""

from pathlib import Path

import numpy as np


def screen(directory: Path) -> None:
    array = np.load(directory / "model.npy", mmap_mode="r", allow_pickle=False)
    if array.ndim != 2 or array.dtype != np.float32:
        raise ValueError(f"model.npy: found {array.dtype}{list(array.shape)}, expected a matrix")
