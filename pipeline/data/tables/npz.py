"""The reader of .npz, which reads each member as a stream."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import IO, Any, NamedTuple

import numpy as np

from pipeline.data.tables import (
    BATCH,
    NO_DATE,
    NO_LABEL,
    NO_TEXT,
    NUMBERS,
    Array,
    Batch,
    Kind,
    Table,
)


class _Header(NamedTuple):
    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    """Of the first value, in bytes from the member's start."""


RAW: tuple[Kind, ...] = (*NUMBERS, "time")
_PICKLE = "expected numbers; pickles are not read"
_WAYS_OUT = {
    "m": "expected numbers; divide it by a unit, such as np.timedelta64(1, 's')",
    "c": "expected numbers; make two arrays of it",
    "V": "expected numbers; make an array of each field",
}
_DAMAGED = (zipfile.BadZipFile, zlib.error, KeyError, OSError, RuntimeError, ValueError, EOFError)


class Reader(Table):
    """An archive has arrays with rows along their first axis, never unpickled nor held whole."""

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        with self._open() as archive:
            self.headers = {
                info.filename.removesuffix(".npy"): self._header(archive, info)
                for info in archive.infolist()
            }
        rows = {name: header.rows for name, header in self.headers.items()}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in rows.items())
            raise self.broken(
                f"arrays differ in their number of rows ({counts}), expected the same"
            )
        return {name: header.shape for name, header in self.headers.items()}

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except _DAMAGED as fault:
            raise self.broken(f"no .npz file: {fault}; write it with np.savez") from None

    def _header(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Header:
        array = f"array {info.filename.removesuffix('.npy')!r}"
        try:
            with archive.open(info) as member:
                shape, by_column, dtype = _npy_header(member)
                offset = member.tell()
        except _DAMAGED as fault:
            raise self.broken(f"{array}: no .npy header: {fault}; use np.savez") from None
        if dtype.kind not in "biufUSM":
            raise self.broken(f"{array}: found {dtype}, {_WAYS_OUT.get(dtype.kind, _PICKLE)}")
        if not shape:
            raise self.broken(
                f"{array}: found a single value, expected rows; leave it out of the file"
            )
        if by_column:
            raise self.broken(
                f"{array}: found column-major order, expected rows; np.ascontiguousarray helps"
            )
        if offset + math.prod(shape) * dtype.itemsize != info.file_size:
            raise self.broken(f"{array}: its length does not fit the shape {shape}; write it again")
        return _Header(shape[0], shape[1:], dtype, offset)

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        for name, kind in kinds.items():
            dtype = self.headers[name].dtype
            if kind in NUMBERS and dtype.kind in "US":
                expected = NO_LABEL if kind == "label" else "numbers"
                raise self.broken(f"array {name!r}: found text ({dtype}), expected {expected}")
            if kind == "text" and dtype.kind in "bfM":
                raise self.broken(f"array {name!r}: found {dtype}, {NO_TEXT}")
            if (kind in NUMBERS) and dtype.kind == "M":
                raise self.broken(f"array {name!r}: found {dtype}, {NO_DATE}")
            if kind == "time" and dtype.kind != "M":
                raise self.broken(f"array {name!r}: found {dtype}, expected datetime64")

    def order_kind(self, column: str) -> Kind:
        return "time" if self.headers[column].dtype.kind == "M" else "number"

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        chosen = {name: self.headers[name] for name in kinds}
        width = sum(header.dtype.itemsize * math.prod(header.shape) for header in chosen.values())
        total, rows = next(iter(chosen.values())).rows, max(1, BATCH // max(1, width))
        try:
            with self._open() as archive, ExitStack() as stack:
                members = {n: stack.enter_context(archive.open(f"{n}.npy")) for n in kinds}
                for name, header in chosen.items():
                    members[name].read(header.offset)
                for row in range(0, total, rows):
                    count = min(rows, total - row)
                    blocks = {n: _rows(members[n], h, count) for n, h in chosen.items()}
                    yield {
                        n: block if kinds[n] in RAW else self.texts(row, n, block)
                        for n, block in blocks.items()
                    }
        except _DAMAGED as fault:
            raise self.broken(f"damaged: {fault}; write it again") from None


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(member)
    raise ValueError(f"version {version}")


def _rows(member: IO[bytes], header: _Header, count: int) -> Array:
    size = count * math.prod(header.shape) * header.dtype.itemsize
    return np.frombuffer(member.read(size), header.dtype).reshape(count, *header.shape)
