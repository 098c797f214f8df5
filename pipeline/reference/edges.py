"""Rows at the edge of what a model has seen, and far beyond it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.data.on_disk import blocks, least_and_greatest

Arrays = dict[str, np.ndarray]
FIVE = 5
FACTORS = (10.0, 1e3, 1e5)
"""Of the far rows: the share of them that a net takes without growing out of its numbers is not
known before."""
FAR_ROWS = 4


def edges(array: np.ndarray) -> np.ndarray:
    """Returns five rows: each value's least and greatest in `array`, zeros, and two beyond both.

    Integers and flags (of 0 and 1 alone) count, name and mask: they stay at values that occur in
    their place. Of texts the rows are the first and the last, the empty one, and two that `array`
    does not have.
    """
    if array.dtype.kind == "U":
        first, last = _ends(array)
        unseen = [np.char.add(last, more) for more in ("~", " \N{SNOWMAN}")]
        return np.stack([first, last, np.zeros_like(first), *unseen])
    low, high = least_and_greatest(array)
    zeros = np.zeros_like(low)
    if array.dtype.kind in "iub" or _are_flags(array):
        has_zero = np.any([(block == 0).any(axis=0) for block in blocks(array)], axis=0)
        return np.stack([low, high, np.where(has_zero, zeros, low), low, high])
    span = high - low
    return np.stack([low, high, zeros, low - 3 * span, high + 3 * span])


def with_missing(
    rows: Mapping[str, np.ndarray], schema: Mapping[str, Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """Returns the rows and one more: all values of the inputs that may lack one are missing (of
    texts empty), and those of the others are the first row's."""

    def missing(row: np.ndarray) -> np.ndarray:
        return np.full_like(row, "" if row.dtype.kind == "U" else np.nan)

    return {
        name: np.concatenate([each, missing(each[:1]) if _lacks(spec) else each[:1]])
        for (name, each), spec in zip(rows.items(), schema.values(), strict=True)
    }


def may_be_missing(schema: Mapping[str, Mapping[str, Any]]) -> bool:
    """Returns whether an input may lack a value."""
    return any(map(_lacks, schema.values()))


def _lacks(spec: Mapping[str, Any]) -> bool:
    return "missing" in spec


def far(array: np.ndarray) -> np.ndarray:
    """Returns rows of `array` taken across it, and of floats the same rows at each of FACTORS."""
    rows = array[np.linspace(0, len(array) - 1, FAR_ROWS).astype(int)]
    if array.dtype.kind != "f" or _are_flags(prepared.values(array)):
        return np.concatenate([rows] * len(FACTORS))
    return np.concatenate([(rows * factor).astype(array.dtype) for factor in FACTORS])


def _are_flags(array: np.ndarray) -> bool:
    """Returns whether floats are zeros and ones alone, as a mask's."""
    return all(bool(((block == 0) | (block == 1)).all()) for block in blocks(array))


def _ends(array: np.ndarray) -> np.ndarray:
    """Returns the first and the last text of each column in the order of their letters."""
    ends = array[:1]
    for block in blocks(array):
        ends = np.sort(np.concatenate([ends, block]), axis=0)[[0, -1]]
    return ends


def of_all(inputs: Mapping[str, np.ndarray], row: Mapping[str, np.ndarray]) -> Arrays:
    """Returns the five rows of every input; of one whose rows differ in size they are as large as
    `row`, and have the same value throughout, and a mask hides nothing."""
    return {name: _of_any(array, row[name]) for name, array in inputs.items()}


def _of_any(array: np.ndarray, row: np.ndarray) -> np.ndarray:
    if not prepared.varies(array):
        return edges(array)
    if prepared.is_mask(array):
        return np.ones((FIVE, *row.shape[1:]), row.dtype)
    return prepared.spread(array, edges(prepared.values(array)), row)


def far_of_all(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the far rows of every input."""
    return {name: far(array) for name, array in inputs.items()}
