"""Reads arrays out of a file that somebody else made: plain numbers or text, no larger than it.

`numpy.load` refuses pickles, but unpacks what is compressed and takes its shape from a header.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.errors import PipelineError

Arrays = dict[str, np.ndarray]
MOST, HEADER = 10_000, 10_000
UNREADABLE = (
    *(ValueError, OSError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile),
    *(SyntaxError, tokenize.TokenError, MemoryError, struct.error, zlib.error),  # of headers
)


class ForeignArrays(PipelineError):
    """Says that the file is none that the pipeline writes; do not use it."""


def read(path: Path) -> Arrays:
    """Reads every array of an .npz whose members are stored whole, each as large as its shape says.

    Nothing is allocated before that is known. Raises ForeignArrays in one line otherwise.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            for info in infos:
                _check(archive, info, path.stat().st_size)
        if len({info.filename for info in infos}) < len(infos) or len(infos) > MOST:
            raise ValueError("members that are there twice, or too many of them")
        with np.load(path, allow_pickle=False, max_header_size=HEADER) as arrays:
            return {name: arrays[name] for name in arrays}
    except UNREADABLE as error:
        text = " ".join(str(error).split())[:200]
        raise ForeignArrays(
            f"{path}: found {text}; expected an .npz of plain arrays, stored whole; do not use it"
        ) from error


def _check(archive: zipfile.ZipFile, info: zipfile.ZipInfo, total: int) -> None:
    stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not stored or info.file_size > total or not info.filename.endswith(".npy"):
        raise ValueError(
            f"member {info.filename[:100]!r} compressed, larger than the file or no array"
        )
    with archive.open(info) as member:
        shape, dtype = _header(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or member.tell() + size != info.file_size:
            raise ValueError(
                f"{info.filename[:100]!r} of {dtype} and shape {shape} not stored whole"
            )


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(member, max_header_size=HEADER)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(member, max_header_size=HEADER)
    else:
        raise ValueError(f"an array of version {version}")
    return shape, dtype
