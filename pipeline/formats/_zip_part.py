"""A zip archive as if some of its members were not there, or some bytes were others: nothing of it
is copied."""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ._zip import _END, _END64, _LOCATOR, WIDE, WIDE_COUNT, _entry, _table


class ZipPart(io.RawIOBase):
    """A file, to be read, in which another table stands in the place of its table.

    It has the members whose names `keeps` says yes to, and at each offset of `changes` the bytes of
    that array. Raises what `spans` has said before.
    """

    def __init__(
        self,
        path: Path,
        keeps: Callable[[str], bool],
        changes: Mapping[int, np.ndarray] = MappingProxyType({}),
    ) -> None:
        self._changes = {at: each.reshape(-1).view(np.uint8).data for at, each in changes.items()}
        self._file = path.open("rb", buffering=0)
        self._place = 0
        self._start, size, count = _table(self._file, path.stat().st_size)
        table = os.pread(self._file.fileno(), size, self._start)
        headers, at = [], 0
        for _ in range(count):
            entry, end = _entry(table, at)
            if keeps(entry.name.decode()):
                headers.append(table[at:end])
            at = end
        self._tail = b"".join(headers) + _ending(self._start, sum(map(len, headers)), len(headers))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        ends = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._end}
        self._place = max(0, ends[whence] + offset)
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer, but at the end."""
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(0, self._end - self._place))
        done = 0
        while done < count:
            done += self._into(view[done:count], self._place + done)
        self._place += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    @property
    def _end(self) -> int:
        return self._start + len(self._tail)

    def _into(self, view: memoryview, place: int) -> int:
        if place < self._start:
            part = view[: self._start - place]
            count = os.preadv(self._file.fileno(), [part], place) or self._cut_off()
            for at, changed in self._changes.items():
                first, last = max(at, place), min(at + len(changed), place + count)
                if first < last:
                    part[first - place : last - place] = changed[first - at : last - at]
            return count
        at = place - self._start
        view[:] = self._tail[at : at + len(view)]
        return len(view)

    def _cut_off(self) -> int:
        raise ValueError(f"{self._file.name}: changed while it was read")


def _ending(start: int, size: int, count: int) -> bytes:
    """Returns what stands behind a table: its place in 64 bits, and in 32 as far as they go."""
    wide = _END64.pack(
        *(b"PK\6\6", _END64.size - 12, 45, 45, 0, 0, count, count, size, start),
    )
    locator = _LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
    narrow = min(count, WIDE_COUNT)
    end = _END.pack(b"PK\5\6", 0, 0, narrow, narrow, size, min(start, WIDE), 0)
    return wide + locator + end
