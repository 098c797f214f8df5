"""The weights of the carried torch_mlp, changed where they lie in `model.pt2`."""

from pathlib import Path

import numpy as np

from testing.formats import form


def tensor(directory: Path, name: str) -> np.ndarray:
    """Returns a weight as it lies in the file, to which what is set is written."""
    file, start, size, dtype = form("torch_export").weights(directory)[name]
    count = size // np.dtype(dtype).itemsize
    return np.memmap(directory / file, dtype, "r+", start, (count,))


def swapped(directory: Path) -> None:
    for name in ("layers.2.weight", "layers.2.bias"):
        rows = tensor(directory, name).reshape(10, -1)
        rows[:2] = rows[[1, 0]]


def unscaled(directory: Path) -> None:
    tensor(directory, "standardize.std")[:] = 1


def stale(directory: Path) -> None:
    tensor(directory, "layers.2.weight")[:] *= 1.001


CHANGES = (swapped, unscaled, stale)
"""What makes it answer otherwise."""
