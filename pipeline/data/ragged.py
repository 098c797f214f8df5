"""Rows of different sizes: their values lie one row after the other, never padded on the disk.

The axes that vary come first there and are one: rows of [height, width, 3] are (pixels of all rows,
3), and those of [64, length] are (places of all rows, 64).

This module imports nothing of ours: a confined process gets a copy of it alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
OFFSETS = "offsets"
"""The folder that says where rows begin, a file a dimension."""
Rows = Array | slice
"""Which rows: their numbers, a mask of them, or a slice."""


class _Padded:
    """An array of which each batch is as large as its largest row, along each axis that varies."""

    def __init__(self, offsets: Sequence[Array], axes: Sequence[int], fixed: Iterable[int]):
        """`offsets` are those of each axis of a row that varies, `axes`; `fixed` are the other
        sizes of a row."""
        self.axes = tuple(axes)
        self._offsets = list(offsets)
        self._fixed = tuple(fixed)
        self._starts = offsets[0] if len(offsets) == 1 else offsets_of(self.sizes().prod(axis=1))

    def __len__(self) -> int:
        return len(self._offsets[0]) - 1

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Returns the rows and the shape of each, with None for what varies."""
        row: list[int | None] = list(self._fixed)
        for axis in self.axes:
            row.insert(axis, None)
        return (len(self), *row)

    def sizes(self, rows: Rows = slice(None)) -> Array:
        """Returns the sizes of each of these rows along the axes that vary: (rows, axes)."""
        numbers = self._numbers(rows)
        return np.stack([each[numbers + 1] - each[numbers] for each in self._offsets], axis=1)

    def longest(self, rows: Rows = slice(None)) -> tuple[int, ...]:
        """Returns how large a batch of these rows is, from its first axis behind the rows to the
        last that varies."""
        most = iter(self.sizes(rows).max(axis=0, initial=0).tolist())
        shape = self.shape[1 : 2 + max(self.axes)]
        return tuple(next(most) if size is None else size for size in shape)

    def places(self, rows: Rows = slice(None)) -> Array:
        """Returns where these rows have values, as large as the largest of them, but for the axes
        behind the last that varies."""
        places = self._in_order(self._places(self.sizes(rows)))
        until_last = places.reshape(places.shape[: 2 + max(self.axes)])
        return np.broadcast_to(until_last, (len(places), *self.longest(rows))).copy()

    def row_of(self, position: int) -> int:
        """Returns the row that a value belongs to."""
        return int(np.searchsorted(self._starts, position, side="right")) - 1

    def _places(self, sizes: Array) -> Array:
        """Returns where rows of these sizes have values, the axes that vary first and one of size 1
        for each other."""
        result = np.ones((len(sizes), *(1,) * (len(self.axes) + len(self._fixed))), bool)
        for axis, of_rows in enumerate(sizes.T):
            known = np.arange(int(of_rows.max(initial=0)))[None] < of_rows[:, None]
            others = (1,) * (result.ndim - axis - 2)
            result = result & known.reshape(len(sizes), *(1,) * axis, known.shape[1], *others)
        return result

    def _in_order(self, batch: Array) -> Array:
        """Returns rows whose axes that vary come first in the order of a row's shape."""
        axes = [1 + axis for axis in self.axes]
        return np.moveaxis(batch, range(1, 1 + len(axes)), axes)

    def _numbers(self, rows: Rows) -> Array:
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        return (
            np.flatnonzero(rows)
            if rows.dtype == bool
            else np.where(rows < 0, rows + len(self), rows)
        )


class Ragged(_Padded):
    """Rows of values, given as a dense array, which ends with `pad` where a row is smaller."""

    def __init__(
        self, values: Array, offsets: Sequence[Array], pad: Any, axes: Sequence[int] = (0,)
    ):
        super().__init__(offsets, axes, values.shape[1:])
        self.values, self._pad, self.dtype = values, pad, values.dtype
        """Of all rows, one after the other; mapped."""

    def head(self, rows: int) -> "Ragged":
        """Returns the first rows."""
        offsets = [each[: rows + 1] for each in self._offsets]
        return Ragged(self.values[: self._starts[: rows + 1][-1]], offsets, self._pad, self.axes)

    def __getitem__(self, rows: Rows) -> Array:
        numbers, sizes = self._numbers(rows), self.sizes(rows)
        most = sizes.max(axis=0, initial=0)
        batch = np.full((len(numbers), *most, *self._fixed), self._pad, self.dtype)
        counts, starts = sizes.prod(axis=1), self._starts[numbers]
        for place, (start, count, size) in enumerate(zip(starts, counts, sizes, strict=True)):
            values = self.values[start : start + count].reshape(*size, *self._fixed)
            where: tuple[Any, ...] = (place, *map(slice, size.tolist()))
            batch[where] = values
        return np.ascontiguousarray(self._in_order(batch))

    def spread(self, values: Array, like: Array) -> Array:
        """Returns rows as large as those of a batch `like` them, each of the same values in every
        place of the axes that vary."""
        sizes = [like.shape[1 + axis] for axis in self.axes]
        places = values.reshape(len(values), *(1,) * len(sizes), *self._fixed)
        return self._in_order(np.broadcast_to(places, (len(values), *sizes, *self._fixed))).copy()


class Mask(_Padded):
    """Ones where a row has values, zeros where it is padded."""

    def __init__(self, offsets: Sequence[Array], dtype: Any):
        super().__init__(offsets, range(len(offsets)), ())
        self.dtype = np.dtype(dtype)

    @property
    def values(self) -> Array:
        """Returns what there is to be seen of it: a mask is 0 or 1, wherever it is."""
        return np.array([0, 1], self.dtype)

    def head(self, rows: int) -> "Mask":
        """Returns the first rows."""
        return Mask([each[: rows + 1] for each in self._offsets], self.dtype)

    def __getitem__(self, rows: Rows) -> Array:
        return self.places(rows).astype(self.dtype)


def write_offsets(folder: Path, dimension: str, lengths: Array) -> None:
    """Writes where each row of a split begins along a dimension, in all arrays that have it."""
    path = folder / OFFSETS / f"{dimension}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, offsets_of(lengths))


def read(
    folder: Path, kind: str, name: str, entry: Mapping[str, Any], values_in: Callable[[Path], Array]
) -> "Ragged | Mask":
    """Returns an array whose rows differ in size as schema.json describes it; `values_in` opens
    the file of its values."""
    axes = [axis for axis, size in enumerate(entry["shape"]) if not isinstance(size, int)]
    offsets = [np.load(folder / OFFSETS / f"{entry['shape'][axis]}.npy") for axis in axes]
    if entry.get("mask"):
        return Mask(offsets, entry["dtype"])
    values = values_in(folder / kind / f"{name}.npy")
    return Ragged(values, offsets, "" if values.dtype.kind == "U" else entry["pad"], axes)


def offsets_of(lengths: Sequence[int] | Array) -> Array:
    """Returns where each row begins, and the end of the last."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
