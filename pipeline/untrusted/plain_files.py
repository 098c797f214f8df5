"""A directory from elsewhere holds plain files under plain names, not too many and not too large;
that is checked before anything in it is read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.text import escaped

FILES, DEPTH, NAME = 10_000, 12, 200
"""At most: files and directories, directories within each other, and characters of a name."""


def faults(directory: Path, most: int) -> list[str]:
    """Every entry that is no plain file or directory, or badly named; `most` are the bytes of all.

    A symlink, a pipe or a device could stand for any other file, or never end.
    """
    if directory.is_symlink() or not directory.is_dir():
        return [f"{escaped(str(directory))}: is no directory"]
    faults: list[str] = []
    count = total = 0
    for name, status in _entries(directory, ""):
        count += 1
        total += status.st_size if stat.S_ISREG(status.st_mode) else 0
        faults += [f"{escaped(name)}: {fault}" for fault in _entry_faults(name, status)]
        if count > FILES or total > most:
            break
    if count > FILES:
        faults.append(f"{escaped(str(directory))}: holds more than {FILES} files")
    if total > most:
        faults.append(f"{escaped(str(directory))}: holds more than {most} bytes")
    return faults


def _entries(directory: Path, before: str) -> Iterator[tuple[str, os.stat_result]]:
    """Entries come in no order and from no deeper than is allowed, so that memory does not grow
    with the directory."""
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            name = f"{before}{entry.name}"
            yield name, status
            if stat.S_ISDIR(status.st_mode) and name.count("/") < DEPTH:
                yield from _entries(Path(entry.path), f"{name}/")


def _entry_faults(name: str, status: os.stat_result) -> Iterator[str]:
    last = name.rpartition("/")[2]
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        yield "is a link, a pipe or a device; expected a plain file"
    if len(last) > NAME or not last.isprintable() or "\\" in last or last.endswith((" ", ".")):
        yield "is named so that it reads as something else"
    if name.count("/") >= DEPTH:
        yield f"lies more than {DEPTH} directories deep"


def read(path: Path, most: int) -> str:
    """Returns a text no longer than `most` bytes. Raises ValueError."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"holds more than {most} bytes")
    return content.decode()
