"""Rows at the edge of what a model has seen, and far beyond it."""

from collections.abc import Mapping

import numpy as np

SORTED_ROWS = 1 << 16
"""Rows of texts that are sorted at once; numpy has no least of texts."""

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
    low, high, zeros = array.min(axis=0), array.max(axis=0), np.zeros_like(array[0])
    if array.dtype.kind in "iub" or _are_flags(array):
        return np.stack([low, high, np.where((array == 0).any(axis=0), zeros, low), low, high])
    span = high - low
    return np.stack([low, high, zeros, low - 3 * span, high + 3 * span])


def far(array: np.ndarray) -> np.ndarray:
    """Returns rows of `array` taken across it, and of floats the same rows at each of FACTORS."""
    rows = array[np.linspace(0, len(array) - 1, FAR_ROWS).astype(int)]
    if array.dtype.kind != "f" or _are_flags(array):
        return np.concatenate([rows] * len(FACTORS))
    return np.concatenate([(rows * factor).astype(array.dtype) for factor in FACTORS])


def _are_flags(array: np.ndarray) -> bool:
    """Whether floats are zeros and ones alone, as a mask's."""
    parts = (array[start : start + SORTED_ROWS] for start in range(0, len(array), SORTED_ROWS))
    return all(bool(((part == 0) | (part == 1)).all()) for part in parts)


def _ends(array: np.ndarray) -> np.ndarray:
    """Returns the first and the last text of each column in the order of their letters."""
    ends = np.sort(array[:SORTED_ROWS], axis=0)[[0, -1]]
    for start in range(SORTED_ROWS, len(array), SORTED_ROWS):
        rows = np.concatenate([ends, array[start : start + SORTED_ROWS]])
        ends = np.sort(rows, axis=0)[[0, -1]]
    return ends


def of_all(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the five rows of every input."""
    return {name: edges(array) for name, array in inputs.items()}


def far_of_all(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the far rows of every input."""
    return {name: far(array) for name, array in inputs.items()}
