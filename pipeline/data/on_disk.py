"""Rows of an array that is larger than memory are read from its file by their position.

A memory map would do, but each of its pages that was ever touched counts as the process's memory.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipeline.errors import DataError

Array = np.ndarray[Any, Any]

LARGEST_MAP = 1 << 24
"""Bytes; up to here a memory map costs less than a call of the system for each row."""
BLOCK = 1 << 22
"""Bytes of what is read at once where all rows are gone through."""


class RowsOnDisk:
    """The rows of an .npy file, dense arrays once they are asked for.

    It does as an array does for `len`, `shape`, `dtype` and indexing by row: by a number, a slice
    or an array of numbers or of flags. All else (`numpy.asarray`) reads the whole file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        shape, self.dtype, self._offset = npy_header(self._file, path)
        self.shape = shape
        self.row_bytes = math.prod(shape[1:]) * self.dtype.itemsize

    def __reduce__(self) -> tuple[type["RowsOnDisk"], tuple[Path]]:
        """Returns what another process opens the file itself with."""
        return RowsOnDisk, (self.path,)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]  # type: ignore[no-any-return]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read([(start, max(0, stop - start))])
            rows = np.arange(start, stop, step)
        return self._read([(row, 1) for row in self._positions(rows)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"{self.path}: is not in memory, so there is no array without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def _positions(self, rows: Any) -> list[int]:
        numbers = np.asarray(rows)
        if numbers.dtype == bool:
            if numbers.shape != (len(self),):
                raise IndexError(f"found {numbers.shape} flags, expected one for each row")
            numbers = np.flatnonzero(numbers)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise IndexError(f"found rows {numbers.dtype} {numbers.shape}, expected row numbers")
        if ((numbers < -len(self)) | (numbers >= len(self))).any():
            raise IndexError(f"a row number is out of bounds for {len(self)} rows")
        positions: list[int] = np.where(numbers < 0, numbers + len(self), numbers).tolist()
        return positions

    def _read(self, runs: list[tuple[int, int]]) -> Array:
        """Returns the rows of each run, a first row and a number of rows, one after the other."""
        result = np.empty((sum(count for _, count in runs), *self.shape[1:]), self.dtype)
        if not result.nbytes:
            return result
        bytes_of, at = result.reshape(-1).view(np.uint8).data, 0
        descriptor, offset, width = self._file.fileno(), self._offset, self.row_bytes
        for row, count in runs:
            part, size = bytes_of[at : at + count * width], count * width
            if os.preadv(descriptor, [part], offset + row * width) != size:
                self._read_on(part, offset + row * width)
            at += size
        return result

    def _read_on(self, part: memoryview, position: int) -> None:
        """Reads what one call of the system did not: it gives 2 GB at most."""
        done = 0
        while done < len(part):
            count = os.preadv(self._file.fileno(), [part[done:]], position + done)
            if not count:
                raise DataError(
                    f"{self.path}: ends early, expected shape {self.shape}; make it anew"
                )
            done += count


def open_rows(path: Path) -> Array:
    """Returns the array of an .npy file without reading it: a memory map where it is small, and
    what does as an array does for its rows where it is large."""
    if path.stat().st_size <= LARGEST_MAP:
        mapped: Array = np.load(path, mmap_mode="r")
        return mapped
    return cast(Array, RowsOnDisk(path))


def blocks(array: Array) -> Iterator[Array]:
    """Yields all rows, a few MB at a time."""
    width = array.dtype.itemsize * math.prod(array.shape[1:])
    most = max(1, BLOCK // max(1, width))
    for row in range(0, len(array), most):
        yield array[row : row + most]


def least_and_greatest(array: Array) -> tuple[Array, Array]:
    """Returns the least and the greatest value in each place of a row, over all rows; 0 where each
    is missing."""
    low, high = array[0], array[0]
    for block in blocks(array):  # fmin and fmax pass over NaN
        low = np.fmin(low, np.fmin.reduce(block, axis=0))
        high = np.fmax(high, np.fmax.reduce(block, axis=0))
    if array.dtype.kind != "f":
        return low, high
    return np.where(np.isnan(low), 0, low), np.where(np.isnan(high), 0, high)


def rows_of_the_ends(array: Array) -> tuple[int, int]:
    """Returns the first row with the least of all values, and the first with the greatest."""
    ends: list[tuple[Any, int]] = []
    row = 0
    for block in blocks(array):
        flat = block.reshape(len(block), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        of_block = [(low.min(), row + int(low.argmin())), (high.max(), row + int(high.argmax()))]
        if ends:
            of_block[0] = of_block[0] if of_block[0][0] < ends[0][0] else ends[0]
            of_block[1] = of_block[1] if of_block[1][0] > ends[1][0] else ends[1]
        ends, row = of_block, row + len(block)
    return ends[0][1], ends[1][1]


def npy_header(file: Any, path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Returns shape, dtype and where the first value lies. Raises DataError for what has no rows of
    plain values."""
    try:
        version = np.lib.format.read_magic(file)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"version {version}")
        shape, by_column, dtype = readers[version](file)
    except (ValueError, OSError) as fault:
        line = str(fault).splitlines()[0]
        raise DataError(f"{path}: no .npy file: {line}; write it with np.save") from None
    if dtype.hasobject:
        raise DataError(f"{path}: found objects, expected plain values; pickles are not read")
    if not shape or (by_column and len(shape) > 1):
        layout = "column-major order" if shape else "a single value"
        raise DataError(f"{path}: found {layout}, expected rows; np.ascontiguousarray helps")
    return shape, dtype, file.tell()
