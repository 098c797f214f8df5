"""Dimensions that vary beside the number of rows: a name each, its bounds, and where it stands.

They are declared in schema.json: a shape has a name in the place of a number, or null where an
answer's size varies otherwise. An array is called as in the files of the reference: input.<name>,
target.<name>, output.<name>.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UNLIKELY = (7, 11, 13, 17, 19, 23, 29, 31)
"""Sizes to trace with, that neither the rows nor the model's own sizes are likely to be."""


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """What varies in the arrays of a model."""

    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Dimension -> its least and its greatest size."""
    axes: Mapping[str, Mapping[int, str | None]] = field(default_factory=dict)
    """Array -> axis, of which the rows are 0 -> the dimension, or None for an unnamed one."""

    def of(self, array: str) -> Mapping[int, str | None]:
        """Returns the axes of an array that vary, but for its rows."""
        return self.axes.get(array, {})

    def shape(self, array: str, example: np.ndarray) -> tuple[int | None, ...]:
        """Returns the shape of an example with None for all that varies, its rows among it."""
        varies = {0, *self.of(array)}
        return tuple(None if n in varies else size for n, size in enumerate(example.shape))

    def sizes(self) -> dict[str, int]:
        """Returns a size of each dimension to trace with: within its bounds, not 1, and another
        for each where there are enough."""
        sizes: dict[str, int] = {}
        for name, (least, most) in self.bounds.items():
            fitting = [n for n in UNLIKELY if least <= n <= most and n not in sizes.values()]
            sizes[name] = fitting[0] if fitting else max(2, (least + most) // 2)
        return sizes

    def resized(
        self, array: str, values: np.ndarray, rows: int, sizes: Mapping[str, int] | None = None
    ) -> np.ndarray:
        """Returns values of so many rows, and of these sizes (of those to trace with): cut off, or
        begun again at their end, in the same places for all arrays alike."""
        sizes = self.sizes() if sizes is None else sizes
        wanted = {axis: sizes[name] for axis, name in self.of(array).items() if name is not None}
        for axis, size in (wanted | {0: rows}).items():
            places = np.resize(np.arange(values.shape[axis]), size)
            values = values.take(places, axis)
        return np.ascontiguousarray(values)


FIXED = Dimensions()
"""Of a model of which nothing varies but the rows."""


def declared(schema: Mapping[str, Any]) -> Dimensions:
    """Returns what a schema.json declares."""
    axes = {
        f"{kind}.{name}": _axes(entry["shape"])
        for kind in ("input", "target", "output")
        for name, entry in schema.get(f"{kind}s", {}).items()
    }
    bounds = schema.get("dimensions", {})
    return Dimensions(
        bounds={name: (each["least"], each["most"]) for name, each in bounds.items()},
        axes={name: each for name, each in axes.items() if each},
    )


def _axes(shape: list[int | str | None]) -> dict[int, str | None]:
    return {n: size for n, size in enumerate(shape, 1) if not isinstance(size, int)}
