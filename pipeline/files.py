"""A file is written whole or not at all; what the system refuses to write is one line."""

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline import written
from pipeline.errors import FormatError, NotWritten, PipelineError
from pipeline.written import WrittenPath

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
FULL_WORDS = ("no space left on device", "database or disk is full", "out of diskspace")

LEAST_FREE = 1 << 20
"""Bytes: with less than this free a framework's error is put down to it, which it may not say."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes the file whole, or leaves what was there before."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write; afterwards `path` is that file, whole, or what it was before. What is
    written through its `open` is digested meanwhile."""
    partial = WrittenPath(path.with_name(f"{path.name}.partial"))
    try:
        with translate_os_errors(path):  # before the partial file frees its space again
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            written.replace(partial, path)
            _flush_names(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Returns where a folder lies while it is written."""
    return path.with_name(f"{path.name}.partial")


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives the name of a folder that somebody makes, whose files are flushed; afterwards `path` is
    that folder, whole, or it is gone."""
    partial = partial_of(path)
    remove_tree(partial)
    try:
        with translate_os_errors(path):
            yield partial
            remove_tree(path)
            _flush_names(partial)
            partial.rename(path)
            _flush_names(path.parent)
    finally:
        if partial.exists():
            remove_tree(partial)


def remove_path(path: Path) -> None:
    """Removes a file, or a folder with all that is in it; it may be gone."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(prefix: str = "tmp") -> Iterator[Path]:
    """Gives a folder that is gone afterwards, whatever was left in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Removes a folder and all below it, however deep: folders within folders are lifted first, so
    that no path grows too long for the system, and nothing recurses. No link is followed."""
    count = itertools.count()
    try:
        while below := _without_files(folder):
            for each in below:
                for inner in _without_files(each):
                    inner.rename(_unused(folder, count))
                each.rmdir()
        folder.rmdir()
    except OSError:  # it is not there, or somebody else was faster
        shutil.rmtree(folder, ignore_errors=True)


def _without_files(folder: Path) -> list[Path]:
    """Removes all that is no folder, and returns those that are."""
    folder.chmod(0o700)
    with os.scandir(folder) as entries:
        below = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for path, is_folder in below:
        if not is_folder:
            path.unlink()
    return [path for path, is_folder in below if is_folder]


def _unused(folder: Path, count: Iterator[int]) -> Path:
    return next(path for n in count if not os.path.lexists(path := folder / f".{n}"))


def _flush_names(directory: Path) -> None:
    """Flushes a directory's names; a file's own bytes are flushed before it gets its name."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Raises NotWritten, one line, for a full disk, a read-only path or a missing permission."""
    try:
        yield
    except NotWritten:
        raise
    except Exception as fault:
        line = _explanation(fault, path)
        if line is None:
            raise
        raise NotWritten(line) from fault


def _explanation(fault: BaseException, path: Path) -> str | None:
    """Returns the line to print, or None where the disk is not to blame."""
    chain = list(_chain(fault))
    system = [each for each in chain if isinstance(each, OSError)]
    directory = _existing(path)
    free = shutil.disk_usage(directory).free
    full = any(each.errno in FULL for each in system)
    full = full or any(words in str(each).lower() for each in chain for words in FULL_WORDS)
    own_error = isinstance(fault, PipelineError) and not isinstance(fault, FormatError)
    if full or (free < LEAST_FREE and not own_error):
        what = "" if full else f" ({' '.join(f'{type(fault).__name__}: {fault}'.split())[:200]})"
        return (
            f"{path}: no space left: {free / 2**20:.1f} MiB free at {directory.resolve()}{what}; "
            "make room and run `dvc repro` again, what was finished before is intact"
        )
    refused = next((each for each in system if each.errno in REFUSED), None)
    if refused is None:
        return None
    return (
        f"{refused.filename or path}: {refused.strerror}; change its permissions, or where it "
        "lies, and run `dvc repro` again"
    )


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__


def _existing(path: Path) -> Path:
    """Returns the path itself or the closest directory above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())
