"""A copy of the model in which one weight is another, which every comparison must notice."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 1 << 20


def perturb(places: Mapping[str, Any], directory: Path, copy: Path) -> str:
    """Copies the model, changes its largest floating weight by one percent, returns its name.

    Values go up and down in turn, as a normalisation would undo a common factor. A weight that
    numpy knows only as integers (bfloat16, quantised) gets its last bit flipped.
    """
    by_size = {k: (np.dtype(v[3]).kind in "fc", v[2], k) for k, v in places.items() if v[2] > 0}
    if not by_size:
        raise ValueError("weights() names none, so nothing can be perturbed")
    name = max(by_size, key=lambda each: by_size[each])
    file, offset, size, dtype = places[name]
    _copy(directory, copy)
    kind = np.dtype(dtype)
    values = np.memmap(copy / file, kind, "r+", offset, (size // kind.itemsize,))
    for start in range(0, len(values), CHUNK):
        values[start : start + CHUNK] = _changed(np.array(values[start : start + CHUNK]))
    values.flush()
    return name


def _copy(directory: Path, copy: Path) -> None:
    """Copies content alone: a confined process may set no modes and no times."""
    copy.mkdir(parents=True)
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            (copy / path.relative_to(directory)).mkdir()
        else:
            shutil.copyfile(path, copy / path.relative_to(directory))


def _changed(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fc":
        return ~values if values.dtype.kind == "b" else values ^ 1
    zeros = values == 0
    values[0::2] *= 1.01
    values[1::2] *= 0.99
    values[zeros] = 1e-3
    return values
