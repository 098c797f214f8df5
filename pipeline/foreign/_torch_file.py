"""What torch.save writes is read here without running anything of it: the pickle as data, and each
tensor mapped from where its bytes lie in the file."""

import io
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import DataError

from . import _pickle
from ._pickle import Pickle, Stored
from ._slice import Slice

MAGIC = 0x1950A86A20F9469CFC6C
"""The first of the pickles that a file from before torch 1.6 is a row of."""
_DTYPES = {
    1: "Char:int8 Byte:uint8 Bool:bool Untyped:uint8",
    2: "Half:float16 BFloat16:bfloat16 Short:int16",
    4: "Float:float32 Int:int32",
    8: "Double:float64 Long:int64 ComplexFloat:complex64",
    16: "ComplexDouble:complex128",
}
WIDTHS = {
    f"{kind}Storage": (dtype, width)
    for width, row in _DTYPES.items()
    for kind, dtype in (each.split(":") for each in row.split())
}
"""A storage's class -> the dtype of its elements, and their bytes."""
LOCAL = struct.Struct("<4s5H3L2H")
UNREADABLE: tuple[type[Exception], ...] = (
    *(*_pickle.UNREADABLE, zipfile.BadZipFile, NotImplementedError, RuntimeError),
    *(struct.error, zlib.error),
)


@dataclass(frozen=True)
class Piece:
    """Where a storage's bytes lie in the file, and their checksum where it is known."""

    start: int
    size: int
    crc: int | None = None


@dataclass(frozen=True)
class TorchFile:
    """A file of torch.save, opened."""

    path: Path
    pickle: Pickle
    pieces: Mapping[str, Piece]


@contextmanager
def reading(path: Path, title: str) -> Iterator[None]:
    """Raises DataError, one line, for whatever a damaged file brings about."""
    try:
        yield
    except UNREADABLE as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{path}: a damaged {title} ({text}); expected it as it was written: copy it again, or "
            "save it again where it was made"
        ) from error


def opened(path: Path, part: tuple[int, int] | None = None) -> TorchFile:
    """Opens a file, or the part of one at an offset with a length. Raises one of UNREADABLE."""
    with path.open("rb") as file:
        start, size = part or (0, path.stat().st_size)
        content = io.BufferedReader(Slice(file, start, size))
        if content.peek(2)[:2] == b"PK":
            return _archive(path, content, start)
        if part is not None:
            raise ValueError("a piece that is no archive of torch.save")
        return _legacy(path, file)


def looks_so(path: Path) -> bool:
    """Returns whether a file's first bytes are such as torch.save writes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(16)
    return head[:4] == b"PK\3\4" or (head[:1] == b"\x80" and MAGIC.to_bytes(10, "little") in head)


def unpickled(path: Path) -> Pickle | None:
    """Returns the pickle of a file of torch.save, and None where the path is anything else or
    damaged."""
    try:
        return opened(path).pickle if looks_so(path) else None
    except UNREADABLE:
        return None


def _archive(path: Path, content: BinaryIO, start: int) -> TorchFile:
    with zipfile.ZipFile(content) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in infos if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("an archive without one data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in infos:
            raise ValueError("a program of TorchScript")
        pieces = {
            name.removeprefix(f"{root}data/"): _piece(content, info, start)
            for name, info in infos.items()
            if name.startswith(f"{root}data/") or name in (pickles[0], f"{root}byteorder")
        }
        order = pieces.pop(f"{root}byteorder", None)
        if order is not None and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("numbers of another byte order")
        del pieces[pickles[0]]
        return TorchFile(path, _pickle.read_bytes(archive.read(pickles[0])), pieces)


def _piece(content: BinaryIO, info: zipfile.ZipInfo, start: int) -> Piece:
    """Returns where a member's bytes lie. Raises ValueError unless they lie there as they are."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"its member {info.filename[:100]!r} is compressed")
    content.seek(info.header_offset)
    *_, name, extra = LOCAL.unpack(content.read(LOCAL.size))
    at = info.header_offset + LOCAL.size + int(name) + int(extra)
    if content.seek(0, io.SEEK_END) < at + info.file_size:
        raise ValueError(f"its member {info.filename[:100]!r} ends behind the file")
    return Piece(start + at, info.file_size, info.CRC)


def _legacy(path: Path, file: BinaryIO) -> TorchFile:
    """Reads what torch before 1.6 wrote: pickles in a row, then the storages."""
    file.seek(0)
    if _pickle.read(file).value != MAGIC:
        raise ValueError("no file of torch.save")
    _, system = _pickle.read(file).value, _pickle.read(file).value
    if not system["little_endian"]:
        raise ValueError("numbers of another byte order")
    pickle, keys = _pickle.read(file), _pickle.read(file).value
    widths = {str(key): width for key, width in _stored(pickle.value).items()}
    pieces, end = {}, path.stat().st_size
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        size = count * widths[key]
        if count < 0 or file.tell() + size > end:
            raise ValueError("a tensor that ends behind the file")
        pieces[key] = Piece(file.tell(), size)
        file.seek(size, io.SEEK_CUR)
    return TorchFile(path, pickle, pieces)


def _stored(value: Any) -> dict[str, int]:
    """Returns the bytes of an element of each storage that the value names."""
    widths, waiting, seen = {}, [value], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Stored):
            _, kind, key, *_ = each.key
            widths[key] = WIDTHS[kind.name][1]
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, _pickle.Made):
            waiting += [each.args, each.state, each.items, *(v for _, v in each.pairs)]
    return widths


def mapped(path: Path) -> mmap.mmap:
    """Returns the file's bytes, read when they are looked at; what is written stays in memory."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
