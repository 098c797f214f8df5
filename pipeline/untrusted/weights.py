"""Where a stranger's format says that its weights lie is judged before a byte of them is read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

Place = tuple[str, int, int, str]
"""File, offset, bytes, dtype."""

DTYPES = frozenset(
    (
        *("bool", "float16", "float32", "float64", "complex64", "complex128"),
        *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    )
)
"""Of weights; a format tells of others as bytes, uint8 or uint16."""


def whole(places: Mapping[str, Place], directory: Path) -> dict[str, Place]:
    """Returns the places. Raises ValueError unless each lies, whole, in a file of the directory:
    an index may name any file, and any length."""
    for name, (file, offset, nbytes, dtype) in places.items():
        path = Path(file)
        numbers = all(type(number) is int and number >= 0 for number in (offset, nbytes))
        size = np.dtype(dtype).itemsize if dtype in DTYPES else 0
        inside = not path.is_absolute() and ".." not in path.parts and (directory / path).is_file()
        plain = numbers and size and nbytes % size == 0 and inside
        if not plain or offset + nbytes > (directory / path).stat().st_size:
            raise ValueError(f"{name[:100]} does not lie, whole, in a file of it")
    return dict(places)
