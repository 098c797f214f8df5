"""A large file is digested as it is written, and its digests stay known until its inode says that
somebody wrote to it; so nobody reads it again to name it: by its sha256 we, by its md5 DVC."""

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import IO, Any

LARGE = 1 << 26
"""Bytes from which on a file's digest is remembered: a smaller one can be written twice between two
ticks of the clock that its inode goes by."""
CHUNK = 1 << 22
"""Bytes that are copied at once."""
AT_ONCE = 1 << 30
"""Bytes that are written at once: the system takes no 2 GiB."""


@dataclass(frozen=True)
class Digests:
    """The names of a file's bytes."""

    sha256: str
    md5: str


class _Digester:
    """Digests bytes as they come."""

    def __init__(self) -> None:
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    @contextlib.contextmanager
    def beside(self, part: memoryview | bytes) -> Iterator[None]:
        """Digests the part while the caller does something else with it."""
        digests = (self._sha256.update, self._md5.update)
        if len(part) < CHUNK:
            for update in digests:
                update(part)
            yield
            return
        threads = [threading.Thread(target=update, args=(part,)) for update in digests]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()

    def digests(self) -> Digests:
        return Digests(self._sha256.hexdigest(), self._md5.hexdigest())


_DIGESTS: dict[tuple[int, int], tuple[tuple[int, int, int], Digests]] = {}
"""Of large files: by device and number what changes with the content, and the digests."""


class WrittenPath(PosixPath):
    """A path; what is written to it, or below it, from one end to the other and through `open` is
    digested meanwhile."""

    def open(self, mode: str = "r", *rest: Any, **more: Any) -> IO[Any]:  # type: ignore[override]
        """Opens it as Path does."""
        if mode == "wb" and not rest and not more:
            return io.BufferedWriter(_Digesting(super().open("wb", buffering=0)))
        return super().open(mode, *rest, **more)


class _Digesting(io.RawIOBase):
    """A file that knows the sha256 of what was written, unless something was written twice."""

    def __init__(self, file: io.FileIO) -> None:
        self._file, self._digester, self._straight = file, _Digester(), True

    def write(self, data: Any, /) -> int:
        part = memoryview(data).cast("B")[:AT_ONCE]
        with self._digester.beside(part):
            count = self._file.write(part)
        self._straight = self._straight and count == len(part)
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        before = self._file.tell()
        place = self._file.seek(offset, whence)
        self._straight = self._straight and place == before
        return place

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        self._straight = False
        return self._file.truncate(size)

    def fileno(self) -> int:
        return self._file.fileno()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def close(self) -> None:
        if not self.closed and self._straight:
            _remember(os.fstat(self.fileno()), self._digester.digests())
        super().close()
        self._file.close()


def digest(path: Path) -> str:
    """Returns the sha256 of a file, which is read where it is not known."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        known = _known(status)
        if known is not None:
            return known.sha256
        if status.st_size < LARGE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        _remember(status, digests := _read_large(file))
        return digests.sha256


def _read_large(file: IO[bytes]) -> Digests:
    digester, part = _Digester(), file.read(CHUNK)
    while part:
        with digester.beside(part):
            part = file.read(CHUNK)
    return digester.digests()


def known_md5(folder: Path) -> dict[Path, str]:
    """Returns that of each large file below a folder whose bytes went through here."""
    large = {path: _known(path.stat()) for path in folder.rglob("*") if path.is_file()}
    return {path: known.md5 for path, known in large.items() if known}


def replace(source: Path, target: Path) -> None:
    """Gives a file the name of another, whose place it takes."""
    known = _known(source.stat())
    source.replace(target)
    _remember(target.stat(), known)


def link(source: Path, target: Path) -> None:
    """Gives a file a second name, or copies it where the file system has no hard links. Nobody may
    write to it in place: a new content is a new file, as `replacing` makes one."""
    source = source.resolve()
    known = _known(source.stat())
    try:
        os.link(source, target)
    except OSError:
        copy(source, target)
    else:
        _remember(target.stat(), known)


def unlink(path: Path, other: Path) -> None:
    """Removes a name of a file; another that it has may be the same file's."""
    same = other.exists() and other.samefile(path)
    known = _known(path.stat()) if same else None
    path.unlink()
    if same:
        _remember(other.stat(), known)


def copy(source: Path, target: Path) -> str:
    """Copies a file's content, which is read once, and returns its sha256."""
    digester = _Digester()
    with source.open("rb") as reads, target.open("wb") as writes:
        while part := reads.read(CHUNK):
            with digester.beside(part):
                writes.write(part)
    _remember(target.stat(), digester.digests())
    return digester.digests().sha256


def _known(status: os.stat_result) -> Digests | None:
    changing, digests = _DIGESTS.get((status.st_dev, status.st_ino), ((), None))
    return digests if changing == _changing(status) else None


def _remember(status: os.stat_result, digests: Digests | None) -> None:
    if digests is not None and status.st_size >= LARGE:
        _DIGESTS[status.st_dev, status.st_ino] = _changing(status), digests


def _changing(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
