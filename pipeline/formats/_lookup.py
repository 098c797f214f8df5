"""Where bytes lie in files that are already written."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ._zip import lies_at, stored_offsets

ARCHIVE = b"PK\3\4"  # a zip archive begins with it


class Lookup:
    """Looks bytes up in files of a directory, of which some may not be there."""

    def __init__(self, directory: Path, files: Iterable[str]):
        self._readers: dict[str, _Reader] = {}
        for file in files:
            path = directory / file
            if path.is_file():
                with path.open("rb") as opened:
                    is_archive = opened.read(len(ARCHIVE)) == ARCHIVE
                self._readers[file] = _Archive(path) if is_archive else _Flat(path)

    def find(self, data: bytes) -> tuple[str, int] | None:
        """Returns the first file that holds the bytes, and their offset."""
        for file, reader in self._readers.items():
            offset = reader.find(data)
            if offset is not None:
                return file, offset
        return None


class _Reader(Protocol):
    def find(self, data: bytes) -> int | None: ...


class _Archive:
    """Finds whole members that are stored as they are."""

    def __init__(self, path: Path):
        self._path, self._offsets = path, stored_offsets(path)

    def find(self, data: bytes) -> int | None:
        offset = self._offsets.get((len(data), zlib.crc32(data)))
        return offset if offset is not None and lies_at(self._path, offset, data) else None


class _Flat:
    """Finds bytes anywhere, first behind the last ones: weights lie in the order of their names,
    in which they are looked up."""

    def __init__(self, path: Path):
        self._content, self._behind = path.read_bytes(), 0

    def find(self, data: bytes) -> int | None:
        offset = self._content.find(data, self._behind)
        if offset < 0:
            offset = self._content.find(data)
        if offset < 0:
            return None
        self._behind = offset + len(data)
        return offset
