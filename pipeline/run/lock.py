"""An output has one writer at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import IncompleteArtifact

BEGUN = Path(".dvc/tmp/pipeline.lock")
"""Held by who runs DVC, and by that DVC after it."""
_held: list[int] = []


def take_turn() -> list[int]:
    """Returns an open file for DVC to inherit, which is locked as long as one of both lives; none
    where there is no DVC.

    Waits where who has the lock is gone, for its DVC is ending. Where it is there, DVC says who
    waits for whom.
    """
    if not BEGUN.parent.parent.is_dir():
        return []
    BEGUN.parent.mkdir(exist_ok=True)
    file = os.open(BEGUN, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 100, 0).decode()
        number = holder.partition(" ")[0]
        if holder == _named(int(number or 0)):
            return [file]
        print(f"process {number} is gone; waiting for the end of what it has begun", flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    os.ftruncate(file, 0)
    os.pwrite(file, _named(os.getpid()).encode(), 0)
    return [file]


def wait_for_turn(root: Path) -> None:
    """Waits until nobody runs DVC in a clone, whose last user was killed."""
    if (root / BEGUN).exists():
        with (root / BEGUN).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def _named(process: int) -> str:
    """Returns a process' number and when it began; "" where there is none."""
    try:
        began = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
    return f"{process} {began}"


def held() -> tuple[int, ...]:
    """Returns the open files that hold this process' locks: who inherits one holds it too."""
    return tuple(_held)


@contextlib.contextmanager
def exclusive_writer(path: Path) -> Iterator[None]:
    """Refuses a second writer with the pid of the first one; raises IncompleteArtifact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise IncompleteArtifact(
                f"{path}: process {holder} is writing it; wait for it or end it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _held.append(file.fileno())
        try:
            yield
        finally:
            _held.remove(file.fileno())
