"""Programs are loaded by torch's own loader, over tensors that are mapped from the file: each page
is read when it is looked at, and is the process' own once it is written to."""

import mmap
from pathlib import Path
from typing import Any

from .._zip import spans
from ._names import FILE


class MappedReader:
    """An archive as torch's loader of programs asks for it: torch's PT2ArchiveReader, and the
    reader of records within that. Programs that are loaded with one reader share their tensors."""

    def __init__(self, path: Path) -> None:
        self.archive_file = self
        members = spans(path)
        root = next(iter(members)).partition("/")[0]
        self._spans = {name.removeprefix(f"{root}/"): span for name, span in members.items()}
        self._tensors: dict[str, Any] = {}
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def get_file_names(self) -> list[str]:
        """Returns the names of all records."""
        return list(self._spans)

    def read_bytes(self, name: str) -> bytes:
        """Returns a record."""
        start, size = self._spans[name]
        return self._bytes[start : start + size]

    def read_string(self, name: str) -> str:
        """Returns a record of text."""
        return self.read_bytes(name).decode()

    def get_record_size(self, name: str) -> int:
        """Returns its bytes."""
        return self._spans[name][1]

    def get_storage_from_record(self, name: str, count: int, dtype: Any) -> Any:
        """Returns a flat tensor of these elements."""
        import torch

        if name not in self._tensors:
            start, size = self._spans[name]
            self._tensors[name] = torch.frombuffer(
                self._bytes, dtype=torch.uint8, count=size, offset=start
            )
        return self._tensors[name].view(dtype)[:count]


def programs(directory: Path, apart: bool) -> dict[str, Any]:
    """Returns every program by name; they share the tensors that the file has once, unless they are
    to be `apart`. Raises ValueError for an archive of another version."""
    from torch.export.pt2_archive import _package
    from torch.export.pt2_archive.constants import ARCHIVE_VERSION_PATH, ARCHIVE_VERSION_VALUE

    path = directory / FILE
    reader: Any = MappedReader(path)
    version = reader.read_string(ARCHIVE_VERSION_PATH)
    if version != ARCHIVE_VERSION_VALUE:
        raise ValueError(
            f"{path}: found archive version {version}, expected {ARCHIVE_VERSION_VALUE}; install "
            "the torch that requirements.txt names"
        )
    loaded: dict[str, Any] = {}
    for name in reader.get_file_names():
        if name.startswith("models/"):
            own: Any = MappedReader(path) if apart else reader
            loaded |= _package._load_exported_programs(own, [name], None)
    return loaded
