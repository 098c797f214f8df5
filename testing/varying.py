"""A dimension that varies, and rows in any size of it, for formats' tests."""

import importlib
from typing import Any

import numpy as np

from testing.formats import FOLDER

BOUNDS = {"length": {"least": 1, "most": 50}}
LENGTHS = (1, 2, 31, 50)
SCHEMA: dict[str, Any] = {
    "inputs": {"x": {"shape": ["length", 2]}, "mask": {"shape": ["length"]}},
    "targets": {},
    "outputs": {"answer": {"shape": ["length", 3]}},
    "dimensions": BOUNDS,
}


def dimensions(schema: dict[str, Any] = SCHEMA) -> Any:
    """Returns what formats are told, of the copy of them that runs alone."""
    assert FOLDER.is_dir()
    return importlib.import_module("formats.dimensions").declared(schema)


def rows(count: int, length: int) -> dict[str, np.ndarray]:
    """Returns rows of which some are padded."""
    draw = np.random.default_rng(length)
    mask = np.arange(length)[None] < draw.integers(1, length + 1, (count, 1))
    x = draw.normal(size=(count, length, 2)).astype(np.float32)
    return {"x": x * mask[..., None], "mask": mask.astype(np.float32)}
