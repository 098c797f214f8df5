"""A column whose rows differ in size is a list of all values, one row after the other, with the
size of each row. Such lists are what readers of tables give; ragged.py reads what is written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.ragged import Array

Template = tuple[int | None, ...]
"""The shape of a row, with None for each size that varies."""


@dataclass(frozen=True)
class Lists:
    """Some rows of a table's column, before they are written."""

    values: Array
    """Of all rows, one after the other."""
    lengths: Array
    """The size of each row: a number, or one for each axis that varies."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Array]:
        """Yields the values of each row."""
        ends = np.cumsum(self.counts)
        for end, count in zip(ends, self.counts, strict=True):
            yield self.values[end - count : end]

    @property
    def sizes(self) -> Array:
        """Returns the sizes of each row along the axes that vary: (rows, axes)."""
        return self.lengths if self.lengths.ndim == 2 else self.lengths[:, None]

    @property
    def counts(self) -> Array:
        """Returns how many of the values each row has."""
        return np.asarray(self.sizes.prod(axis=1))

    def row_of(self, position: int) -> tuple[int, int]:
        """Returns the row that a value belongs to, and its place there."""
        ends = np.cumsum(self.counts)
        row = int(np.searchsorted(ends, position, side="right"))
        return row, position - int(ends[row] - self.counts[row])


def axes_of(template: Template) -> tuple[int, ...]:
    """Returns the axes of a row that vary."""
    return tuple(axis for axis, size in enumerate(template) if size is None)


def as_lists(rows: "Array | Lists", axes: Sequence[int] = (0,)) -> Lists:
    """Returns rows of one shape as lists of as many values each; these axes of a row vary."""
    if isinstance(rows, Lists):
        return rows
    if rows.ndim == 1:
        return Lists(rows, np.ones(len(rows), np.int64))
    sizes = [rows.shape[1 + axis] for axis in axes]
    first = np.moveaxis(rows, [1 + axis for axis in axes], range(1, 1 + len(axes)))
    lengths = np.tile(np.array(sizes, np.int64), (len(rows), 1))
    return Lists(first.reshape(-1, *first.shape[1 + len(axes) :]), _lengths(lengths))


def lists_of(
    rows: Sequence[Array],
    template: Template,
    join: Callable[[Sequence[Array]], Array] = np.concatenate,
) -> Lists:
    """Returns rows, an array each, as lists; they differ in the axes that vary alone."""
    axes = axes_of(template)
    sizes = [[row.shape[axis] for axis in axes] for row in rows]
    first = [np.moveaxis(row, axes, range(len(axes))) for row in rows]
    values = join([each.reshape(-1, *each.shape[len(axes) :]) for each in first])
    return Lists(values, _lengths(np.array(sizes, np.int64).reshape(-1, len(axes))))


def _lengths(sizes: Array) -> Array:
    return sizes[:, 0] if sizes.shape[1] == 1 else sizes


def values_of(rows: "Array | Lists") -> Array:
    """Returns the values of all rows."""
    return rows.values if isinstance(rows, Lists) else rows


def chosen(rows: "Array | Lists", mask: Array) -> Array:
    """Returns the values of the rows that a mask is true for, one row after the other."""
    if isinstance(rows, Lists):
        return np.asarray(rows.values[np.repeat(mask, rows.counts)])
    return np.asarray(rows[mask])
