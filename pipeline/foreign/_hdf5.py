"""HDF5 is looked through before a value of it is read.

It can compress, point into other files and into itself, and declare what is not there; what Keras
writes does nothing of the kind.
"""

import io
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.text import escaped

from ._lazy_array import LazyArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
DAMAGE = (
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError),
    *(OverflowError, EOFError),
)
"""What h5py, zipfile and json raise for content that is not laid out as it has to be."""
LARGEST_TEXT = 1 << 25
"""Bytes of an attribute; the configuration of a net of thousands of layers has a tenth."""


def begins_hdf5(path: Path) -> bool:
    """Returns whether the path is a file with HDF5's signature."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Raises DataError for content that is not laid out as it has to be."""
    try:
        yield
    except DAMAGE as fault:
        said = escaped(" ".join(str(fault).split())[:200])
        raise DataError(
            f"{path}: damaged, or not written by Keras ({type(fault).__name__}: {said}), expected "
            "a whole checkpoint; get it again"
        ) from None


class Window(io.RawIOBase):
    """A part of a file, as a file; each read gets all that it asks for."""

    def __init__(self, path: Path, start: int = 0, size: int | None = None):
        super().__init__()
        self.file = path.open("rb", buffering=0)
        self.start, self.at = start, 0
        self.size = path.stat().st_size - start if size is None else size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self.at))
        self.file.seek(self.start + self.at)
        count = 0
        while count < wanted and (length := self.file.readinto(view[count:wanted])):
            count += length
        self.at += count
        return count

    def close(self) -> None:
        self.file.close()
        super().close()


def opened(source: Any) -> Any:
    """Opens what lies in a file-like object."""
    import h5py

    return h5py.File(source, "r")


def arrays(group: Any, path: Path, size: int) -> dict[str, LazyArray]:
    """Returns every array below the group by its path in it, none of them read. Raises DataError
    unless each lies whole, as it is, in the file of `size` bytes."""
    arrays_by_name, stored = {}, 0
    for name, data in _datasets(group, path):
        stored += data.id.get_storage_size()
        arrays_by_name[name] = _lazy(data, name, path)
    if stored > size:
        raise DataError(
            f"{path}: its arrays declare {stored} bytes in a file of {size}, expected each by "
            "itself; get it again"
        )
    return arrays_by_name


def _lazy(data: Any, name: str, path: Path) -> LazyArray:
    shown = escaped(name[:200])
    if data.chunks is not None or data.external or data.is_virtual:
        raise DataError(
            f"{path}: {shown} is packed or lies in another file, expected arrays as Keras writes "
            "them; save the model again"
        )
    dtype = _dtype(data)
    if dtype.hasobject or dtype.kind not in "fiubcV":
        raise DataError(f"{path}: {shown} is {dtype}, expected numbers; save the model again")
    stored, shape = data.id.get_storage_size(), data.shape
    if shape is None or stored != math.prod(shape) * dtype.itemsize:
        raise DataError(
            f"{path}: {shown} declares the shape {shape} of {dtype} and stores {stored} bytes, "
            "expected all of it; get it again"
        )

    def read() -> np.ndarray:
        with one_line(path):
            return np.asarray(data[()]).view(dtype) if dtype.kind == "V" else np.asarray(data[()])

    return LazyArray(tuple(map(int, shape)), dtype, read)


def _dtype(data: Any) -> Any:
    """Returns numpy's, or that of bfloat16, which Keras writes as two bytes and an attribute."""
    if data.dtype.kind == "V" and data.dtype.itemsize == 2 and text(data, "dtype") == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return data.dtype


def _datasets(root: Any, path: Path) -> Iterator[tuple[str, Any]]:
    import h5py

    met, waiting = set(), [("", root)]
    while waiting:
        name, item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in met or not isinstance(item, h5py.Dataset | h5py.Group):
            raise DataError(
                f"{path}: {escaped(name[:200])} is met twice or is no array, expected each array "
                "under one name; get it again"
            )
        met.add(address)
        if isinstance(item, h5py.Dataset):
            yield name, item
        else:
            waiting += reversed(list(_members(name, item, path)))


def _members(name: str, group: Any, path: Path) -> Iterator[tuple[str, Any]]:
    import h5py

    for each in group:
        inner = f"{name}/{each}" if name else str(each)
        if not isinstance(group.get(each, getlink=True), h5py.HardLink):
            raise DataError(
                f"{path}: {escaped(inner[:200])} is a link to somewhere else, expected an array "
                "of the file's own; save the model again"
            )
        yield inner, group[each]


def texts(item: Any, name: str) -> list[str]:
    """Returns an attribute's list of texts, which Keras splits where it is long."""
    numbered = itertools.takewhile(
        item.attrs.__contains__, (f"{name}{i}" for i in itertools.count())
    )
    names = [name] if name in item.attrs else list(numbered)
    return [_text(each) for key in names for each in _attribute(item, key)]


def text(item: Any, name: str) -> str | None:
    """Returns an attribute's text; None where there is none."""
    return _text(_attribute(item, name)) if name in item.attrs else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _attribute(item: Any, name: str) -> Any:
    import h5py

    attribute = h5py.h5a.open(item.id, name.encode())
    count = math.prod(attribute.shape)
    if count * attribute.dtype.itemsize > LARGEST_TEXT:
        raise ValueError(f"an attribute of {count} values, expected names")
    return item.attrs[name]
