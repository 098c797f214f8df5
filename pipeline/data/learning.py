"""What the training rows teach of an input: its categories, and what stands for a missing value."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.data_params import Input
from pipeline.data import columns
from pipeline.data.array_spec import ArraySpec
from pipeline.data.tables import Array, Table

ROWS = 1 << 14
"""Of a chunk; a mean's last bits hang on it."""
HELD = 1 << 26
"""Bytes of the columns whose median is looked for at once."""
DISTINCT = 1_000_000
"""More texts than this are no categories."""


def categories(
    table: Table, arrays: Mapping[str, ArraySpec], splits: Array
) -> dict[str, ArraySpec]:
    """Returns the arrays with the categories that were to be learnt: the most frequent texts of the
    training rows, in alphabetical order where they are as frequent.

    Raises DataError where a column has too many texts to be one of categories.
    """
    wanted = {key: each for key, each in arrays.items() if each.most_names and each.names is None}
    counts: dict[str, Counter[str]] = {key: Counter() for key in wanted}
    if not wanted:
        return dict(arrays)
    row, kinds = 0, columns.kinds_of(wanted)
    for batch in table.batches_with_gaps(kinds, columns.optional(wanted)):
        rows = len(next(iter(batch.values())))
        train = splits[row : row + rows] == 0
        row += rows
        for key, spec in wanted.items():
            for name in spec.columns:
                counts[key].update(batch[name][train].flat)
            if len(counts[key]) > DISTINCT:
                problem = f"{key}: found more than {DISTINCT} different texts in the training rows"
                raise table.broken(f"{problem}, expected categories; correct data.{_dotted(key)}")
    return {
        **arrays,
        **{key: replace(spec, names=_frequent(counts[key], spec)) for key, spec in wanted.items()},
    }


def _frequent(counts: Counter[str], spec: ArraySpec) -> tuple[str, ...]:
    del counts[""]
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    return tuple(ordered[: spec.most_names])


def _dotted(key: str) -> str:
    return key.replace("/", ".")


def filling(table: Table, name: str, entry: Input, spec: ArraySpec, train: Path) -> Any:
    """Returns what stands for a missing value of each element of a row, nested as the row is.

    `train` is the file of the input's training rows. Raises DataError where no row has a value.
    """
    if isinstance(entry.missing, float):
        values = np.full(spec.shape, entry.missing, spec.dtype)
        return values.tolist()
    rows = np.load(train, mmap_mode="r")
    flat = rows.reshape(len(rows), -1)
    learn = {"mean": _means, "median": _medians, "most_frequent": _modes}[str(entry.missing)]
    values = np.array(list(learn(flat)), np.float64)
    if not np.isfinite(values).all():
        at = int((~np.isfinite(values)).argmax())
        place = spec.columns[at] if len(spec.columns) > 1 else spec.columns[0]
        raise table.broken(
            f"column {place!r}: no training row has a value, so there is no {entry.missing}; "
            f"leave it out, or set data.inputs.{name}.missing to a number"
        )
    return values.astype(spec.dtype).reshape(spec.shape).tolist()


def _means(rows: Array) -> list[float]:
    """Returns each column's mean, exactly rounded within a chunk, so the same on each machine."""
    sums: list[list[float]] = [[] for _ in range(rows.shape[1])]
    counts = np.zeros(rows.shape[1], np.int64)
    for start in range(0, len(rows), ROWS):
        chunk = np.array(rows[start : start + ROWS], np.float64)
        known = ~np.isnan(chunk)
        counts += known.sum(axis=0)
        for column, parts in enumerate(sums):
            parts.append(math.fsum(chunk[known[:, column], column].tolist()))
    with np.errstate(all="ignore"):
        result: list[float] = (np.array([math.fsum(parts) for parts in sums]) / counts).tolist()
    return result


def _known(rows: Array) -> Iterator[Array]:
    """Yields the values of each column; few columns are read at once."""
    width = max(1, HELD // max(1, len(rows) * rows.itemsize))
    for start in range(0, rows.shape[1], width):
        for column in np.array(rows[:, start : start + width]).T:
            yield column[~np.isnan(column)].astype(np.float64)


def _medians(rows: Array) -> Iterator[float]:
    for values in _known(rows):
        yield float(np.median(values)) if len(values) else math.nan


def _modes(rows: Array) -> Iterator[float]:
    """Yields each column's most frequent value, the least of those that are as frequent."""
    for values in _known(rows):
        distinct, counts = np.unique(values, return_counts=True)
        yield float(distinct[counts.argmax()]) if len(values) else math.nan
