"""A bar on a terminal says how far a long reading is."""

import sys
from collections.abc import Iterator

from pipeline.data.tables import Batch

DELAY = 2.0
"""Seconds of reading before there is a bar."""


def shown(batches: Iterator[Batch], what: str, total: int | None = None) -> Iterator[Batch]:
    """Yields the batches, and shows their rows of `total` where a person looks on."""
    if not sys.stderr.isatty():
        yield from batches
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit=" rows", delay=DELAY, leave=False) as bar:
        for batch in batches:
            yield batch
            bar.update(len(next(iter(batch.values()))))
