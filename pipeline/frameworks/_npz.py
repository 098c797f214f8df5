"""Arrays go into an .npz one after the other: none is held for another's sake, and what is written
is never gone back to, so that it can be digested meanwhile."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

CHUNK = 1 << 24
"""Bytes of an array that is not in one piece, of which a copy is made."""
MODE = 0o600 << 16
"""Of a member, as numpy has it."""


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
