"""Checkpoints that are spoiled, in ways that any kind has to refuse in one line."""

import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import PipelineError


class RunsCode:
    """Pickled, it is a command that makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self):
        return os.system, (f"touch {self.made}",)


def one_line(raised: pytest.ExceptionInfo[PipelineError], path: Path) -> str:
    """Returns the message, which has to be one line that begins with the path."""
    line = str(raised.value)
    assert line.startswith(str(path)), line
    assert "\n" not in line
    return line


def content_of(folder: Path) -> dict[str, bytes]:
    """Returns every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def cuts(content: bytes) -> Iterator[bytes]:
    """Yields the content cut off at several places, the last of them one byte before its end."""
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        yield content[: int(len(content) * share)]
    yield content[:-1]


def packed_again(source: Path, target: Path, compression: int) -> None:
    """Writes an archive's members to another, compressed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))


def with_pickle(source: Path, target: Path, content: bytes) -> None:
    """Writes an archive of torch.save with another pickle in it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            changed = info.filename.endswith("/data.pkl")
            new.writestr(info.filename, content if changed else old.read(info))


def pickle_of(source: Path) -> bytes:
    """Returns the pickle in an archive of torch.save."""
    with zipfile.ZipFile(source) as archive:
        name = next(each for each in archive.namelist() if each.endswith("/data.pkl"))
        return archive.read(name)


def copies_of_copies(least: int) -> bytes:
    """Returns a pickle of few bytes that copies a long list again and again."""
    long = pickle.dumps(list(range(1000)), protocol=2)[2:-1]
    copy = b"cbuiltins\nlist\nh\x00\x85R0"
    return b"\x80\x02" + long + b"0" + b"h\x00" + copy * (least // 1000) + b"."
