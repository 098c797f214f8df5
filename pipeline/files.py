"""What the operating system refuses to write, as one line; and a place for temporary files."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import FormatError, NotWritten, PipelineError

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
WORDS = ("no space left on device", "database or disk is full", "out of diskspace")

LEAST = 1 << 20
"""Bytes: with less than this free a framework's error is put down to it, which it may not say."""


@contextlib.contextmanager
def told(place: Path) -> Iterator[None]:
    """Raises NotWritten, one line, for a full disk, a read-only place or a missing permission."""
    try:
        yield
    except NotWritten:
        raise
    except Exception as fault:
        line = _line(fault, place)
        if line is None:
            raise
        raise NotWritten(line) from fault


def _line(fault: BaseException, place: Path) -> str | None:
    chain = list(_chain(fault))
    system = [each for each in chain if isinstance(each, OSError)]
    above = _existing(place)
    free = shutil.disk_usage(above).free
    full = any(each.errno in FULL for each in system)
    full = full or any(words in str(each).lower() for each in chain for words in WORDS)
    plain = isinstance(fault, PipelineError) and not isinstance(fault, FormatError)
    if full or (free < LEAST and not plain):
        what = "" if full else f" ({' '.join(f'{type(fault).__name__}: {fault}'.split())[:200]})"
        return (
            f"{place}: no space left: {free / 2**20:.1f} MiB free at {above.resolve()}{what}; "
            "make room and run `dvc repro` again, what was finished before is intact"
        )
    refused = next((each for each in system if each.errno in REFUSED), None)
    if refused is None:
        return None
    return (
        f"{refused.filename or place}: {refused.strerror}; change its permissions, or where it "
        "lies, and run `dvc repro` again"
    )


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__


def _existing(place: Path) -> Path:
    return next(path for path in (place, *place.absolute().parents) if path.exists())


@contextlib.contextmanager
def scratch(output: Path) -> Iterator[None]:
    """Temporary files, those of child processes too, lie beside the output under a name that the
    next run knows: a killed one leaves nothing behind for good."""
    place = output.absolute().with_name(f".{output.name}.scratch")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[1]
        shutil.rmtree(place, ignore_errors=True)
