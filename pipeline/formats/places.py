"""Where weights lie is told by files that may be a stranger's, and is read by who has not loaded
them: a place has to lie in a file of the model's own."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from .contract import Place

OWN = "the model's own files"
FARTHEST = 1 << 62
DTYPES = frozenset(np.dtype(kind).name for kind in (*"?bBhHiIlLefd", "complex64", "complex128"))


def within(
    places: Mapping[str, Place], directory: Path, files: Collection[str] | None = None
) -> dict[str, Place]:
    """Returns the places. Raises ValueError in one line unless each lies, whole, in one of `files`,
    if that is here, and is of numbers that numpy knows. Without `files` any beneath the directory
    will do."""
    sizes: dict[str, int] = {}
    for name, place in places.items():
        file, offset, nbytes, dtype = place
        if not isinstance(file, str) or not _allowed(Path(file), files):
            raise _refusal(name, place, f"one of {', '.join(files or [OWN])}")
        if file not in sizes:
            path = directory / file
            sizes[file] = path.stat().st_size if path.is_file() else FARTHEST
        numbers = type(offset) is int and type(nbytes) is int and isinstance(dtype, str)
        if not numbers or dtype not in DTYPES:
            raise _refusal(name, place, "an offset, a length and a dtype of numpy's")
        if not 0 <= offset <= offset + nbytes <= sizes[file] or nbytes % np.dtype(dtype).itemsize:
            raise _refusal(name, place, f"a place within its {sizes[file]} bytes")
    return dict(places)


def _allowed(file: Path, files: Collection[str] | None) -> bool:
    if files is None:
        return not file.is_absolute() and ".." not in file.parts
    return file.as_posix() in files


def _refusal(name: str, place: object, expected: str) -> ValueError:
    return ValueError(f"{name[:100]!r} lies at {str(place)[:200]}, expected {expected}")
