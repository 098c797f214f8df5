"""An output has one writer at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import IncompleteArtifact

_held: list[int] = []


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
