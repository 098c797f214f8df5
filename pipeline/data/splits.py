"""Each row belongs to one split, which is the same wherever the same rows are split."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.data_params import Split
from pipeline.data.tables import Array

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rows themselves say of their split, an array of a value a row each."""

    named: Array | None = None
    """The split, as an index into SPLITS."""
    groups: Array | None = None
    """The number of the row's group, from 0."""
    times: Array | None = None


def assign(labels: Array, split: Split, facts: Facts | None = None) -> Array:
    """Returns the split of each row, as an index into SPLITS.

    The order is that of raw PCG64 words, which NumPy promises never to change. What is named stays;
    a split that no row names is drawn from those of train.
    """
    facts = facts or Facts()
    into = drawn(facts)
    if facts.named is None:
        rows, parts = np.arange(len(labels)), np.empty(len(labels), np.uint8)
    else:
        rows, parts = np.flatnonzero(facts.named == 0), facts.named.astype(np.uint8)
    if len(into) > 1:
        fractions, seed = _fractions(split, into), split.seed or 0
        if facts.groups is not None:
            index = _grouped(facts.groups[rows], fractions, seed)
        elif facts.times is not None:
            index = _ordered(facts.times[rows], fractions)
        else:
            index = _stratified(labels[rows], fractions, seed)
        parts[rows] = np.array(into, np.uint8)[index]
    return parts


def drawn(facts: Facts) -> list[int]:
    """Returns the splits that rows are drawn for, train first; train alone where all are named."""
    if facts.named is None:
        return list(range(len(SPLITS)))
    return [0, *(index for index in (1, 2) if not (facts.named == index).any())]


def _fractions(split: Split, into: list[int]) -> Array:
    fractions = {1: split.val or 0.0, 2: split.test or 0.0}
    rest = 1 - (fractions[1] if 1 in into else 0) - (fractions[2] if 2 in into else 0)
    return np.array([rest, *(fractions[index] for index in into[1:])])


def _stratified(labels: Array, fractions: Array, seed: int) -> Array:
    """Returns an index a row by which each split gets its share of every class.

    A share is rounded down or up, though never to nothing; what one class rounds away, the next
    makes good. scikit-learn's stratified split does the like, but its import costs a second.
    """
    words = np.random.PCG64(seed).random_raw(len(labels))
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    index = np.empty(len(labels), np.uint8)
    each = np.tile(np.arange(len(fractions), dtype=np.uint8), len(sizes))
    index[np.lexsort((words, labels))] = np.repeat(each, _shares(sizes, fractions))
    return index


def _shares(sizes: Array, fractions: Array) -> Array:
    """Returns how many rows of each class go to each split, class after class."""
    owed, counts = np.zeros(len(fractions)), []
    for size in sizes:
        exact = size * fractions
        count = np.maximum(np.floor(exact + 1e-9), 1).astype(np.int64)
        while count.sum() < size:
            count[np.where(count < exact, owed + exact - count, -np.inf).argmax()] += 1
        while count.sum() > size:
            count[count.argmax()] -= 1
        owed += exact - count
        counts.append(count)
    return np.concatenate(counts)


def _grouped(groups: Array, fractions: Array, seed: int) -> Array:
    """Returns an index a row, the same for all rows of a group.

    Groups come in the order of their size's power of two, the largest first, and at random within
    one; each goes where it fills up the least of a split's share. So a split is off its share by
    less than the rows of two groups, and large groups are in each.
    """
    numbers, rows = np.unique(groups, return_inverse=True)
    sizes = np.bincount(rows)
    words = np.random.PCG64(seed).random_raw(len(sizes))
    order = np.lexsort((words, -np.frexp(sizes)[1]))
    shares, filled = (fractions * len(groups)).tolist(), [0] * len(fractions)
    of_group = np.empty(len(numbers), np.uint8)
    for left, group in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        size = int(sizes[group])
        empty = [index for index, count in enumerate(filled) if not count]
        choices = empty if left <= len(empty) else range(len(filled))
        best = min(choices, key=lambda index: (filled[index] + size) / shares[index])
        filled[best] += size
        of_group[group] = best
    result: Array = of_group[rows]
    return result


def _ordered(times: Array, fractions: Array) -> Array:
    """Returns an index a row, the same for all rows of one time, that does not fall with it.

    Each border lies where the rows before it come closest to their share.
    """
    _, rows, counts = np.unique(times, return_inverse=True, return_counts=True)
    before = np.cumsum(counts)
    index, first = np.zeros(len(before), np.uint8), 0
    for border, share in enumerate(np.cumsum(fractions)[:-1], 1):
        last = len(before) - (len(fractions) - border)
        distances = np.abs(before[first:last] - share * len(times))
        first += int(distances.argmin()) + 1
        index[first:] = border
    result: Array = index[rows]
    return result
