"""An output has one writer at a time."""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import IncompleteArtifact

LOOKS = 10
"""Of a twentieth of a second, at who holds a lock."""
BEGUN = Path(".dvc/tmp/pipeline.lock")
"""Held by who runs DVC, and by that DVC after it."""
_held: list[int] = []


def take_turn() -> list[int]:
    """Returns an open file for DVC to inherit, which is locked as long as one of both lives; none
    where there is no DVC.

    Where another one has it that is there, DVC says who waits for whom.
    """
    if not BEGUN.parent.parent.is_dir():
        return []
    BEGUN.parent.mkdir(exist_ok=True)
    file = os.open(BEGUN, os.O_RDWR | os.O_CREAT, 0o666)
    _holder(file)
    return [file]


def wait_for_turn(root: Path) -> None:
    """Waits until nobody runs DVC in a clone, whose last user was killed."""
    if (root / BEGUN).exists():
        with (root / BEGUN).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def _holder(file: int) -> str | None:
    """Locks the file, and writes there whose it is; or returns the number of the process that has
    it. Where that is gone, what it has begun is ending, and is waited for."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        for _ in range(LOOKS):  # who has just locked it has yet to write whose it is
            number, _, began = os.pread(file, 100, 0).decode().strip().partition(" ")
            if (actual := _began(number)) and began in ("", actual):
                return number
            time.sleep(0.05)
        print(f"process {number} is gone; waiting for the end of what it has begun", flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()} {_began(str(os.getpid()))}".encode(), 0)
    return None


def _began(process: str) -> str | None:
    """Returns when a process began, as the kernel counts; none where it is not there."""
    if sys.platform != "linux":
        return "there"
    try:
        return Path(f"/proc/{int(process)}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, ValueError):
        return None


def held() -> tuple[int, ...]:
    """Returns the open files that hold this process' locks: who inherits one holds it too."""
    return tuple(_held)


@contextlib.contextmanager
def exclusive_writer(path: Path) -> Iterator[None]:
    """Refuses a second writer with the pid of the first one; raises IncompleteArtifact. Waits where
    that was killed, and a command of the user's is ending that it has begun."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a+") as file:
        if holder := _holder(file.fileno()):
            raise IncompleteArtifact(
                f"{path}: process {holder} is writing it; wait for it or end it"
            )
        _held.append(file.fileno())
        try:
            yield
        finally:
            _held.remove(file.fileno())
