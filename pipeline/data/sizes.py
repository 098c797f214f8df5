"""Rows in the sizes that a data set's dimensions may have, whatever sizes its own rows have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data import ragged
from pipeline.data.arrays import Arrays

Sizes = dict[str, int]


def of_batches(schema: Mapping[str, Any]) -> dict[str, Sizes]:
    """Returns the sizes that a model is held to, by the name of a batch: all dimensions at their
    least, at their greatest, between and, where there are several, apart from each other. Nothing
    where none varies."""
    bounds = {n: (each["least"], each["most"]) for n, each in schema.get("dimensions", {}).items()}
    if not bounds:
        return {}
    share = {name: (n + 1) / (len(bounds) + 2) for n, name in enumerate(bounds)}
    sizes = {
        "shortest": {name: least for name, (least, _) in bounds.items()},
        "between": {n: low + round((high - low) * share[n]) for n, (low, high) in bounds.items()},
        "longest": {name: most for name, (_, most) in bounds.items()},
    }
    if len(bounds) > 1:
        sizes["apart"] = {name: bounds[name][n % 2] for n, name in enumerate(bounds)}
    return sizes


def resized(
    schema: Mapping[str, Any], arrays: Mapping[str, Any], rows: int, sizes: Mapping[str, int]
) -> Arrays:
    """Returns the first rows in these sizes: cut off, or begun again at their end. A mask is then
    all ones."""
    entries = schema["inputs"] | schema["targets"]
    return {
        name: _resized(array, rows, entries[name]["shape"], sizes) for name, array in arrays.items()
    }


def _resized(array: Any, rows: int, row: Sequence[Any], sizes: Mapping[str, int]) -> np.ndarray:
    rows = min(rows, len(array))
    if isinstance(array, ragged.Mask):
        return np.ones((rows, *(sizes[name] for name in row)), array.dtype)
    if not isinstance(array, ragged.Ragged):
        return np.array(array[:rows])
    wanted = {axis: sizes[row[axis]] for axis in array.axes}
    return np.stack([_begun_again(array[n : n + 1][0], wanted) for n in range(rows)])


def _begun_again(values: np.ndarray, sizes: Mapping[int, int]) -> np.ndarray:
    for axis, size in sizes.items():
        values = values.take(np.resize(np.arange(values.shape[axis]), size), axis)
    return values
