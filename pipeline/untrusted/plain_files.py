"""A directory from elsewhere holds plain files under plain names, not too many and not too large;
that is checked before anything in it is read."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import IncompleteArtifact
from pipeline.text import escaped
from pipeline.untrusted import limits

DATA, HOLE = os.SEEK_DATA, os.SEEK_HOLE
ODD = "is named so that it reads as something else"
EXTENTS = 10_000
"""Of a file with holes, those that are counted."""


def faults(
    directory: Path, most: int | None = None, files: int = limits.FILES, links: Path | None = None
) -> list[str]:
    """Returns every entry that is no plain file or directory, or oddly named; `most` are the bytes
    of all.

    A symlink, a pipe or a device could stand for any other file, or never end. A symlink into the
    folder `links` is let through: so DVC may lay out what its cache has.
    """
    return [text for text, _ in _faults(directory, most, files, links)]


def demand(directory: Path, links: Path | None = None) -> None:
    """Raises IncompleteArtifact for the first fault of an artifact's directory, but for odd names,
    which are escaped wherever they are printed."""
    for text, is_name in _faults(directory, None, limits.ARTIFACT_FILES, links):
        if not is_name:
            raise IncompleteArtifact(
                f"{directory}: {text.removeprefix(f'{escaped(str(directory))}: ')}; nothing in it "
                "is read: get it again from where it came"
            )


def _faults(
    directory: Path, most: int | None, files: int, links: Path | None
) -> Iterator[tuple[str, bool]]:
    """Yields each fault, and whether it is of a name alone."""
    shown = escaped(str(directory))
    if directory.is_symlink() or not directory.is_dir():
        yield f"{shown}: is no directory", False
        return
    size, count = _Size(), 0
    for path, status in _entries(directory):
        name = path.relative_to(directory).as_posix()
        if links and stat.S_ISLNK(status.st_mode) and _within(path, links):
            if not path.exists():
                continue  # DVC's cache lacks it
            status = path.stat()
        count += 1
        if stat.S_ISREG(status.st_mode):
            size.add(path, status)
        for fault in _entry_faults(name, status):
            yield f"{escaped(name)}: {fault}", fault == ODD
        if count > files or (most is not None and size.apparent > most):
            break
    if count > files:
        yield f"{shown}: holds more than {files} files", False
    if most is not None and size.apparent > most:
        yield f"{shown}: holds more than {most} bytes", False
    for fault in size.faults():
        yield f"{shown}: {fault}", False


def _within(path: Path, folder: Path) -> bool:
    """Returns whether a link leads into the folder; one that leads to itself does not."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def demand_stored(path: Path) -> None:
    """Raises IncompleteArtifact for a file that is no plain one, or most of which is holes."""
    status, size = path.stat(), _Size()
    if not stat.S_ISREG(status.st_mode):
        raise IncompleteArtifact(f"{path}: is a pipe or a device; expected a plain file")
    size.add(path, status)
    for fault in size.faults():
        raise IncompleteArtifact(f"{path}: {fault}; it is not read")


@dataclass
class _Size:
    """The bytes that files name, and those that lie there, each once."""

    apparent: int = 0
    stored: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, path: Path, status: os.stat_result) -> None:
        self.apparent += status.st_size
        file = (status.st_dev, status.st_ino)
        if status.st_nlink == 1 or file not in self.seen:
            self.stored += _stored(path, status)
        if status.st_nlink > 1:
            self.seen.add(file)

    def faults(self) -> Iterator[str]:
        holes = self.apparent - self.stored
        if holes > max(limits.HOLES, self.stored):
            yield f"names {self.apparent} bytes and stores {self.stored}; expected no holes"


def _stored(path: Path, status: os.stat_result) -> int:
    """Returns how many bytes of a file are no holes: some file systems count blocks late, or those
    that compression leaves."""
    blocks: int = status.st_blocks * 512
    if blocks >= status.st_size:
        return status.st_size
    stored = at = 0
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(EXTENTS):
            start = os.lseek(opened, at, DATA)
            at = os.lseek(opened, start, HOLE)
            stored += at - start
    except OSError:  # there are no more data
        pass
    finally:
        os.close(opened)
    return max(stored, blocks)


def _entries(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yields the entries, in no order and from no deeper than is allowed, so that memory does not
    grow with the directory."""
    waiting = [(directory, 0)]
    while waiting:
        folder, depth = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                yield Path(entry.path), status
                if stat.S_ISDIR(status.st_mode) and depth < limits.DEPTH:
                    waiting.append((Path(entry.path), depth + 1))


def _entry_faults(name: str, status: os.stat_result) -> Iterator[str]:
    last = name.rpartition("/")[2]
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        yield "is a link, a pipe or a device; expected a plain file"
    if (
        len(last) > limits.NAME
        or not last.isprintable()
        or "\\" in last
        or last.endswith((" ", "."))
    ):
        yield ODD
    if name.count("/") >= limits.DEPTH:
        yield f"lies more than {limits.DEPTH} directories deep"
