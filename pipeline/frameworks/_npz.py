"""Arrays go into an .npz one after the other: none is held for another's sake, and what is written
is never gone back to, so that it can be digested meanwhile. A large one is mapped when it is read.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CHUNK = 1 << 24
"""Bytes of an array that is not in one piece, of which a copy is made."""
MODE = 0o600 << 16
"""Of a member, as numpy has it."""
MAPPED = 1 << 20
"""Bytes of a member from which on it is mapped; to map a few takes longer than to read them."""
_LOCAL = struct.Struct("<4s5H3L2H")
"""What stands before a member's name, and how long that and what follows it is at the end."""


class Header(NamedTuple):
    """What an .npy says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    size: int
    """Bytes before the array."""


def read(file: Any, name: str) -> np.ndarray:
    """Returns an array of an open NpzFile. A large one lies where the file is mapped, and a page is
    the process' own once it is written to: whoever opens the file has compared its bytes with their
    digest, and the member's checksum is not looked at again."""
    info = file.zip.getinfo(f"{name}.npy")
    if info.file_size < MAPPED or info.compress_type != zipfile.ZIP_STORED:
        array: np.ndarray = file[name]
        return array
    shape, fortran, dtype, size = header(file, name)
    if dtype.hasobject:
        raise ValueError(f"{name}: found Python objects, expected an array of numbers or text")
    file.zip.fp.seek(info.header_offset)
    *_, named, extra = _LOCAL.unpack(file.zip.fp.read(_LOCAL.size))
    start = info.header_offset + _LOCAL.size + named + extra + size
    mapped = np.memmap(file.zip.fp, dtype, "c", start, shape, "F" if fortran else "C")
    return np.asarray(mapped)


def header(file: Any, name: str) -> Header:
    """Returns what an open NpzFile says of an array; nothing else of it is read."""
    with file.zip.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        parse = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            parse = np.lib.format.read_array_header_2_0
        return Header(*parse(member), member.tell())


def write(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes the bytes that `numpy.savez` would."""
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays:
            info = zipfile.ZipInfo(f"{name}.npy")
            info.external_attr, info.header_offset = MODE, file.tell()
            for part in _content(array):
                info.CRC = zlib.crc32(part, info.CRC if info.file_size else 0)
                info.file_size += len(part)
            info.compress_size = info.file_size
            file.write(info.FileHeader(zip64=True))
            for part in _content(array):
                file.write(part)
            _add(archive, info, file.tell())


def _content(array: np.ndarray) -> Iterator[bytes | memoryview]:
    """Yields the bytes of an .npy. Raises ValueError for objects."""
    if array.dtype.hasobject:
        raise ValueError("found Python objects, expected an array of numbers or text")
    described = np.lib.format.header_data_from_array_1_0(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, described)
    yield header.getvalue()
    array = array.T if described["fortran_order"] else array
    if array.flags.c_contiguous:
        if array.itemsize:
            yield array.reshape(-1).view(np.uint8).data
        return
    count = max(1, CHUNK // max(1, array.itemsize))
    flat = array.flat
    for start in range(0, array.size, count):
        yield flat[start : start + count].tobytes()


def _add(archive: zipfile.ZipFile, info: zipfile.ZipInfo, end: int) -> None:
    """Has the archive list a member that was written, as it does with its own."""
    archive.filelist.append(info)
    archive.NameToInfo[info.filename] = info
    archive.start_dir = end
    archive._didModify = True  # type: ignore[attr-defined]
