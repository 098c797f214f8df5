"""A program with other weights: their bytes take the place of its own in a copy of its files."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .contract import Arrays, Place


def load_patched(
    loader: Any, directory: Path, places: Mapping[str, Place], weights: Mapping[str, np.ndarray]
) -> Callable[[Arrays], Arrays]:
    """Returns what `load` gives of a copy in which these weights, without their shapes, lie in
    their places."""
    with tempfile.TemporaryDirectory(prefix="patched-") as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(directory, copy, copy_function=shutil.copyfile)
        for name, values in weights.items():
            file, offset, size, dtype = places[name]
            content = np.ascontiguousarray(values, dtype).tobytes()
            assert len(content) == size, f"{name} takes {size} bytes"
            with (copy / file).open("r+b") as opened:
                opened.seek(offset)
                opened.write(content)
        predict: Callable[[Arrays], Arrays] = loader(copy)
    return predict
