"""trained.npz: what a few more steps lead to. It does not grow with the model.

A training that promises equal bits is held to the state's digests. Values are what a rounding one
is compared with, and what says by how much another is off.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.frameworks import _npz as npz
from pipeline.sandbox.worker.report import digest_of
from pipeline.written import WrittenPath

VALUES = 1 << 26
"""Bytes of the tensors that are there by value, the smallest first; the others are there by the
sha256 of dtype, shape and bits."""

Views = Callable[[], Iterable[tuple[str, np.ndarray]]]


def write(path: Path, answers: Mapping[str, np.ndarray], views: Views) -> None:
    """Writes answers/<output>, and state/<name> or digest/<name> of each tensor of the state, which
    `views` gives over its own memory, twice."""
    by_value = smallest({name: array.nbytes for name, array in views()}, VALUES)

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for name, array in answers.items():
            yield f"answers/{name}", array
        for name, array in views():
            if name in by_value:
                yield f"state/{name}", array
            else:
                yield f"digest/{name}", np.array(digest_of(array))

    npz.write(WrittenPath(path), arrays())


def smallest(sizes: Mapping[str, int], most: int) -> set[str]:
    """Returns the names of those that come to no more than `most` together, the smallest first."""
    names, total = set(), 0
    for name in sorted(sizes, key=lambda each: (sizes[each], each)):
        total += sizes[name]
        if total > most:
            break
        names.add(name)
    return names
