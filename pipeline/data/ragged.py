"""Rows of different lengths: their values lie one row after the other, never padded on the disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
OFFSETS = "offsets"
"""The folder that says where rows begin, a file a dimension."""
Rows = Array | slice
"""Which rows: their numbers, a mask of them, or a slice."""


@dataclass(frozen=True)
class Lists:
    """Some rows of a table's column, before they are written."""

    values: Array
    """Of all rows, one after the other."""
    lengths: Array
    """How many of them each row has."""

    def __len__(self) -> int:
        return len(self.lengths)

    def row_of(self, position: int) -> tuple[int, int]:
        """Returns the row that a value belongs to, and its place there."""
        ends = np.cumsum(self.lengths)
        row = int(np.searchsorted(ends, position, side="right"))
        return row, position - int(ends[row] - self.lengths[row])


def as_lists(rows: "Array | Lists") -> Lists:
    """Returns rows of one shape as lists of as many values each."""
    if isinstance(rows, Lists):
        return rows
    lengths = np.full(len(rows), rows.shape[1] if rows.ndim > 1 else 1, np.int64)
    return Lists(rows.reshape(-1, *rows.shape[2:]), lengths)


def values_of(rows: "Array | Lists") -> Array:
    """Returns the values of all rows."""
    return rows.values if isinstance(rows, Lists) else rows


def chosen(rows: "Array | Lists", mask: Array) -> Array:
    """Returns the values of the rows that a mask is true for, one row after the other."""
    if isinstance(rows, Lists):
        return np.asarray(rows.values[np.repeat(mask, rows.lengths)])
    return np.asarray(rows[mask])


class _Padded:
    """An array of which each batch is as long as its longest row."""

    def __init__(self, offsets: Array, dtype: Any):
        self._offsets = offsets
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def lengths(self, rows: Rows = slice(None)) -> Array:
        """Returns the length of each of these rows."""
        numbers = self._numbers(rows)
        return np.asarray(self._offsets[numbers + 1] - self._offsets[numbers])

    def places(self, rows: Rows = slice(None)) -> Array:
        """Returns where these rows have values, as long as the longest of them."""
        lengths = self.lengths(rows)
        return np.asarray(np.arange(int(lengths.max(initial=0)))[None] < lengths[:, None])

    def row_of(self, position: int) -> int:
        """Returns the row that a value belongs to."""
        return int(np.searchsorted(self._offsets, position, side="right")) - 1

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
    """Rows of values, given as a dense array, which ends with `pad` where a row is shorter."""

    def __init__(self, values: Array, offsets: Array, pad: Any):
        super().__init__(offsets, values.dtype)
        self.values, self._pad = values, pad
        """Of all rows, one after the other; mapped."""
        self.shape: tuple[int | None, ...] = (len(self), None, *values.shape[1:])

    def head(self, rows: int) -> "Ragged":
        """Returns the first rows."""
        offsets = self._offsets[: rows + 1]
        return Ragged(self.values[: offsets[-1]], offsets, self._pad)

    def __getitem__(self, rows: Rows) -> Array:
        numbers, lengths = self._numbers(rows), self.lengths(rows)
        most = int(lengths.max(initial=0))
        batch = np.full((len(numbers), most, *self.values.shape[1:]), self._pad, self.dtype)
        for place, (start, length) in enumerate(zip(self._offsets[numbers], lengths, strict=True)):
            batch[place, :length] = self.values[start : start + length]
        return batch


class Mask(_Padded):
    """Ones where a row has values, zeros where it is padded."""

    def __init__(self, offsets: Array, dtype: Any):
        super().__init__(offsets, dtype)
        self.shape: tuple[int | None, ...] = (len(self), None)

    @property
    def values(self) -> Array:
        """Returns what there is to be seen of it: a mask is 0 or 1, wherever it is."""
        return np.array([0, 1], self.dtype)

    def head(self, rows: int) -> "Mask":
        """Returns the first rows."""
        return Mask(self._offsets[: rows + 1], self.dtype)

    def __getitem__(self, rows: Rows) -> Array:
        return self.places(rows).astype(self.dtype)


def write_offsets(folder: Path, dimension: str, lengths: Array) -> None:
    """Writes where each row of a split begins, in all arrays that have this dimension."""
    path = folder / OFFSETS / f"{dimension}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, offsets_of(lengths))


def read(
    folder: Path, kind: str, name: str, entry: Mapping[str, Any], values_in: Callable[[Path], Array]
) -> "Ragged | Mask":
    """Returns an array whose rows differ in length as schema.json describes it; `values_in` opens
    the file of its values."""
    offsets = np.load(folder / OFFSETS / f"{entry['shape'][0]}.npy")
    if entry.get("mask"):
        return Mask(offsets, entry["dtype"])
    values = values_in(folder / kind / f"{name}.npy")
    return Ragged(values, offsets, "" if values.dtype.kind == "U" else entry["pad"])


def offsets_of(lengths: Sequence[int] | Array) -> Array:
    """Returns where each row begins, and the end of the last."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
