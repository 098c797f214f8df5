"""The reader of .npz, which reads each member as a stream."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import IO, Any, NamedTuple

import numpy as np

from pipeline.data.lists import Lists, Template
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


LENGTHS = ".lengths"
"""Ends the name of an array that says how many values of another, which has this name without it,
each row has."""


class Reader(Table):
    """An archive has arrays with rows along their first axis, never unpickled nor held whole.

    Of one with `<name>.lengths` beside it the rows lie one after the other, as many values each as
    it says there: a number a row, or one for each axis that varies, which come first.
    """

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        with self._open() as archive:
            self.headers = {
                info.filename.removesuffix(".npy"): self._header(archive, info)
                for info in archive.infolist()
            }
        self.lists = {name for name in self.headers if f"{name}{LENGTHS}" in self.headers}
        rows = {name: each.rows for name, each in self.headers.items() if name not in self.lists}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{name} {count}" for name, count in rows.items())
            raise self.broken(
                f"arrays differ in their number of rows ({counts}), expected the same"
            )
        of_lists = {f"{name}{LENGTHS}" for name in self.lists}
        for name in sorted(of_lists):
            self._demand_lengths(name)
        return {
            name: self._row(name) if name in self.lists else header.shape
            for name, header in self.headers.items()
            if name not in of_lists
        }

    def _row(self, name: str) -> Template:
        """Returns the shape of a row of lists, as it is declared where that is known."""
        axes = math.prod(self.headers[f"{name}{LENGTHS}"].shape)
        others = self.headers[name].shape
        template = self.varying.get(name, ())
        fits = len(template) == axes + len(others) and template.count(None) == axes
        if not fits:
            return ((None,) * axes) + others
        fixed = iter(others)
        return tuple(None if size is None else next(fixed) for size in template)

    def let_vary(self, columns: Mapping[str, Template]) -> None:
        super().let_vary(columns)
        self.shapes |= {name: self._row(name) for name in self.lists}

    def _demand_lengths(self, name: str) -> None:
        header, values = self.headers[name], name.removesuffix(LENGTHS)
        if header.dtype.kind not in "iu" or len(header.shape) > 1 or header.shape == (0,):
            kind = f"{header.dtype} of shape {(header.rows, *header.shape)}"
            raise self.broken(
                f"array {name!r}: found {kind}, expected a whole number a row, or one for each "
                "axis that varies"
            )
        with self._open() as archive, archive.open(f"{name}.npy") as member:
            member.read(header.offset)
            lengths = _rows(member, header, header.rows)
        total = int(_counts(lengths).sum())
        if (lengths < 0).any() or total != self.headers[values].rows:
            raise self.broken(
                f"array {name!r}: its lengths sum up to {total}, expected the "
                f"{self.headers[values].rows} values of {values!r}"
            )

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
        lengths = [f"{name}{LENGTHS}" for name in kinds if name in self.lists]
        chosen = {name: self.headers[name] for name in (*kinds, *lengths)}
        first = next(name for name in chosen if name not in self.lists)
        total = chosen[first].rows
        width = sum(h.dtype.itemsize * math.prod((h.rows, *h.shape)) for h in chosen.values())
        rows = max(1, BATCH * total // max(1, width))
        try:
            with self._open() as archive, ExitStack() as stack:
                members = {n: stack.enter_context(archive.open(f"{n}.npy")) for n in chosen}
                for name, header in chosen.items():
                    members[name].read(header.offset)
                for row in range(0, total, rows):
                    count = min(rows, total - row)
                    blocks = {n: _rows(members[n], chosen[n], count) for n in lengths}
                    yield {
                        n: self._column(n, members[n], kinds[n], row, count, blocks) for n in kinds
                    }
        except _DAMAGED as fault:
            raise self.broken(f"damaged: {fault}; write it again") from None

    def _column(
        self, name: str, member: IO[bytes], kind: Kind, row: int, count: int, lengths: Batch
    ) -> Array | Lists:
        """Returns the next rows of an array."""
        of_rows = lengths.get(f"{name}{LENGTHS}")
        many = count if of_rows is None else int(_counts(of_rows).sum())
        block = _rows(member, self.headers[name], many)
        values = block if kind in RAW else self.texts(row, name, block)
        return values if of_rows is None else Lists(values, of_rows.astype(np.int64))


def _counts(lengths: Array) -> Array:
    """Returns how many values each row has."""
    return Lists(lengths, lengths.astype(np.int64)).counts


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
