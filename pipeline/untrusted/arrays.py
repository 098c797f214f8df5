"""Reads arrays out of a file that somebody else made: plain numbers or text, no larger than it.

`numpy.load` refuses pickles, but unpacks what is compressed and takes its shape from a header.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from pipeline.errors import PipelineError
from pipeline.untrusted import limits

Arrays = dict[str, np.ndarray]
MOST, HEADER, VALUES = 10_000, 10_000, 1 << 40
LAST, LOCATOR, LAST64 = struct.Struct("<4s4H2LH"), 20, struct.Struct("<4sQ2H2L4Q")
"""The record that ends an archive, and what stands before it in a large one."""
UNREADABLE = (
    *(ValueError, OSError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile),
    *(SyntaxError, tokenize.TokenError, MemoryError, struct.error, zlib.error),  # of headers
    *(RecursionError, TypeError, LookupError),
)


class Header(NamedTuple):
    """What an array says of itself ahead of its values."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class ForeignArrays(PipelineError):
    """Says that the file is none that the pipeline writes; do not use it."""


def read(path: Path, packed: bool = False) -> Arrays:
    """Reads every array of an .npz whose members are stored whole, each as large as its shape says;
    `packed` ones may be compressed, and those that are not as large as weights.

    Nothing is allocated before that is known. Raises ForeignArrays in one line otherwise.
    """
    size = sum(each.nbytes for each in headers(path, packed).values())
    try:
        if size > limits.EXAMPLES and not packed:
            raise ValueError(f"arrays of {size} bytes, more than {limits.EXAMPLES}")
        with np.load(path, allow_pickle=False, max_header_size=HEADER) as arrays:
            return {name: arrays[name] for name in arrays}
    except UNREADABLE as error:
        raise _foreign(path, error) from error


def in_a_row(path: Path, largest: float) -> Iterator[np.ndarray]:
    """Yields arrays that were written to a file one after the other, none of which takes more than
    `largest` bytes. Raises ForeignArrays."""
    left = path.stat().st_size
    with path.open("rb") as file:
        while left > 0:
            try:
                start = file.tell()
                header = _header(file)
                left -= file.tell() - start + header.nbytes
                odd = header.dtype.hasobject or min(header.shape, default=0) < 0
                if odd or left < 0 or header.nbytes > largest:
                    raise ValueError(f"an array of {header.dtype} and shape {header.shape}")
                content = file.read(header.nbytes)
                array = np.frombuffer(content, header.dtype).reshape(header.shape)
            except UNREADABLE as error:
                raise _foreign(path, error) from error
            yield array


def headers(path: Path, packed: bool = False) -> dict[str, Header]:
    """Returns shape and dtype of each array of such an .npz, none of which is read. Raises
    ForeignArrays."""
    try:
        _demand_small_table(path)
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len({info.filename for info in infos}) < len(infos) or len(infos) > MOST:
                raise ValueError("members that are there twice, or too many of them")
            size = path.stat().st_size
            by_member = {each.filename: _check(archive, each, packed) for each in infos}
        stored = [each.file_size for each in infos if each.compress_type == zipfile.ZIP_STORED]
        if sum(stored) > size or sum(i.file_size for i in infos) - sum(stored) > limits.EXAMPLES:
            raise ValueError("members that lie in each other, or are larger than the file")
    except UNREADABLE as error:
        raise _foreign(path, error) from error
    return {name.removesuffix(".npy"): header for name, header in by_member.items()}


def _demand_small_table(path: Path) -> None:
    """Raises ValueError unless the archive ends as numpy writes it, with a table that can be read:
    zipfile makes an object for each entry of one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST.size - LOCATOR - LAST64.size))
        tail = file.read()
    mark, *_, size, _, comment = LAST.unpack(tail[-LAST.size :])
    plain = mark == b"PK\5\6" and not comment
    if tail[-LAST.size - LOCATOR :][:4] == b"PK\6\7":
        mark, *_, size, _ = LAST64.unpack(tail[: LAST64.size])
        plain = plain and mark == b"PK\6\6"
    if not plain or size > limits.TABLE:
        raise ValueError("a table of contents of another form, or a large one")


def _foreign(path: Path, error: BaseException) -> ForeignArrays:
    text = " ".join(str(error).split())[:200]
    return ForeignArrays(
        f"{path}: found {text}; expected an .npz of plain arrays, stored whole; do not use it"
    )


def _check(archive: zipfile.ZipFile, info: zipfile.ZipInfo, packed: bool) -> Header:
    plain = info.compress_type == zipfile.ZIP_STORED
    stored = info.file_size == info.compress_size if plain else packed
    if not stored or not info.filename.endswith(".npy"):
        raise ValueError(
            f"member {info.filename[:100]!r} compressed, larger than the file or no array"
        )
    with archive.open(info) as member:
        header = _header(member)
        shape, dtype = header
        odd = dtype.hasobject or min(shape, default=0) < 0 or max(shape, default=0) > VALUES
        if odd or member.tell() + header.nbytes != info.file_size:
            raise ValueError(
                f"{info.filename[:100]!r} of {dtype} and shape {shape} not stored whole"
            )
    return header


def _header(member: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(member, max_header_size=HEADER)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(member, max_header_size=HEADER)
    else:
        raise ValueError(f"an array of version {version}")
    return Header(shape, dtype)
