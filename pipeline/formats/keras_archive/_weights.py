"""The weights: an HDF5 file, which lies uncompressed in the archive.

HDF5 can compress, point into other files and into itself, and declare what is not there. It is read
through h5py, which Keras requires.
"""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._zip import data_offset, spans
from ..contract import Place
from ._archive import FILE, WEIGHTS


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, int]]:
    """Gives the HDF5 file, and where it begins in the archive."""
    import h5py

    with zipfile.ZipFile(path) as archive, h5py.File(archive.open(WEIGHTS), "r") as file:
        yield file, data_offset(archive, archive.getinfo(WEIGHTS))


def places(path: Path) -> dict[str, Place]:
    """Returns where each weight lies, by its path in the HDF5 file; the optimizer's left out."""
    with _opened(path) as (file, start):
        return {
            name: (FILE, start + data.id.get_offset(), data.id.get_storage_size(), _dtype(data))
            for name, data in _datasets(file)
            if data.size and not name.startswith("optimizer/")
        }


def _dtype(data: Any) -> str:
    """Returns numpy's name; what numpy lacks is an unsigned integer of its size."""
    return str(data.dtype.name) if data.dtype.kind in "fiubc" else f"uint{8 * data.dtype.itemsize}"


def check_weights(path: Path) -> None:
    """Raises ValueError unless each array lies whole, as it is, in the file."""
    size = spans(path)[WEIGHTS][1]
    with _opened(path) as (file, _):
        for name, data in _datasets(file):
            plain = data.chunks is None and not data.external and not data.is_virtual
            if not plain or data.dtype.hasobject:
                raise ValueError(f"{path}: {name} in {WEIGHTS} is packed or lies elsewhere")
            stored, count = data.id.get_storage_size(), math.prod(data.shape or ())
            if data.shape is None or stored != count * data.dtype.itemsize or stored > size:
                raise ValueError(
                    f"{path}: {name} in {WEIGHTS} declares {data.shape} and stores {stored} bytes; "
                    "do not load it"
                )


def _datasets(file: Any) -> Iterator[tuple[str, Any]]:
    """Yields every dataset by its path.

    Raises ValueError for a link that is none of the file's own, and where something is met twice:
    groups could go round in a circle.
    """
    import h5py

    met, waiting = set(), [("", file)]
    while waiting:
        path, item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in met or not isinstance(item, h5py.Dataset | h5py.Group):
            raise ValueError(f"{FILE}: {path!r} in {WEIGHTS} is met twice or no array")
        met.add(address)
        if isinstance(item, h5py.Dataset):
            yield path, item
        else:
            waiting += reversed(list(_members(path, item)))


def _members(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    import h5py

    for name in group:
        inner = f"{path}/{name}" if path else name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{FILE}: {inner} in {WEIGHTS} is a link to somewhere else")
        yield inner, group[name]
