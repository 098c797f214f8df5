"""Bytes of one file become part of another, however many they are."""

from pathlib import Path
from typing import IO

CHUNK = 1 << 20


def copy_part(source: Path, offset: int, size: int, written: IO[bytes]) -> None:
    """Writes so many bytes of a file, from an offset on. Raises ValueError where it ends before."""
    with source.open("rb") as file:
        file.seek(offset)
        while size:
            part = file.read(min(CHUNK, size))
            if not part:
                raise ValueError(f"{source.name}: changed while it was read")
            written.write(part)
            size -= len(part)
