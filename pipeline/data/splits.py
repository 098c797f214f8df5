"""Each row belongs to one split, which is the same wherever the same rows are split."""

import numpy as np

from pipeline.config.data_params import Split
from pipeline.data.tables import Array

SPLITS = ("train", "val", "test")


def assign(labels: Array, split: Split) -> Array:
    """Returns the split of each row, as an index into SPLITS: each gets its share of every class.

    A share is rounded down or up, though never to nothing; what one class rounds away, the next
    makes good. The order is that of raw PCG64 words, which NumPy promises never to change.
    scikit-learn's stratified split does the like, but its import costs a second of start-up.
    """
    words = np.random.PCG64(split.seed).random_raw(len(labels))
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    fractions = np.array([1 - split.val - split.test, split.val, split.test])
    parts = np.empty(len(labels), np.uint8)
    each = np.tile(np.arange(len(SPLITS), dtype=np.uint8), len(sizes))
    parts[np.lexsort((words, labels))] = np.repeat(each, _shares(sizes, fractions))
    return parts


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
