"""Invented pictures with circles, squares and crosses on them, and what there is to say of each."""

from collections.abc import Iterator
from typing import Any

import numpy as np

SIDE = 16
KINDS = ("circle", "square", "cross")


def rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields pictures of one to three shapes, grey on a dark ground with noise.

    `picture` (16, 16) uint8; `mask` (16, 16) 0 for the ground and 1, 2, 3 for the kinds; `kinds`
    (3,) 1 for each kind that is there; `largest` the kind that takes most place, from 0; `box` (4,)
    its left, top, right and bottom as shares of the side.
    """
    generator = np.random.default_rng(seed)
    for _ in range(count):
        mask = np.zeros((SIDE, SIDE), np.int64)
        for kind in generator.choice(3, generator.integers(1, 4), replace=False):
            mask[_shape(int(kind), generator)] = kind + 1
        shades = np.array([30, 120, 170, 220])[mask]
        picture = np.clip(shades + generator.normal(0, 12, mask.shape), 0, 255)
        sizes = np.bincount(mask.reshape(-1), minlength=4)[1:]
        largest = int(sizes.argmax())
        down, across = np.nonzero(mask == largest + 1)
        box = [across.min(), down.min(), across.max() + 1, down.max() + 1]
        yield {
            "picture": picture.astype(np.uint8),
            "mask": mask,
            "kinds": (sizes > 0).astype(np.float32),
            "largest": largest,
            "box": np.array(box, np.float32) / SIDE,
        }


def cut(count: int, seed: int, least: int) -> Iterator[dict[str, Any]]:
    """Yields `picture` and `mask` of `rows`, of which each has a height and a width of its own:
    `least` to SIDE."""
    generator = np.random.default_rng(seed + 1)
    for row in rows(count, seed):
        height, width = generator.integers(least, SIDE + 1, 2)
        yield {name: row[name][:height, :width] for name in ("picture", "mask")}


def _shape(kind: int, generator: np.random.Generator) -> np.ndarray:
    """Returns where a shape is."""
    radius = generator.integers(2, 5)
    center = generator.integers(radius, SIDE - radius, 2)
    down, across = np.ogrid[:SIDE, :SIDE]
    down, across = down - center[0], across - center[1]
    if kind == 0:
        return down**2 + across**2 <= radius**2
    square = (abs(down) <= radius) & (abs(across) <= radius)
    return square if kind == 1 else square & ((abs(down) <= 0) | (abs(across) <= 0))
