"""What Ray's own threads print, as the log of a node that died, goes to a file of the sweep."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any

RAYS = "ray_"
"""The names of Ray's threads in the process that waits begin so."""
NAME = "ray.log"


class _Log:
    """A file that is there once something was written; one line then names it."""

    def __init__(self, path: Path, stream: IO[str]):
        self._path, self._stream = path, stream
        self._file: IO[str] | None = None
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            if self._file is None:
                self._file = self._path.open("a")
                self._stream.write(f"  Ray says something of its nodes; log: {self._path}\n")
                self._stream.flush()
            return self._file.write(text)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _ByThread:
    """A stream, but for what a thread of Ray's writes, which goes to the log."""

    def __init__(self, stream: IO[str], log: _Log):
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        written: int = self._here().write(text)
        return written

    def flush(self) -> None:
        self._here().flush()

    def _here(self) -> Any:
        of_ray = threading.current_thread().name.startswith(RAYS)
        return self._log if of_ray else self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def rays_apart(folder: Path) -> Iterator[None]:
    """Has what Ray's threads print go to a file in the folder."""
    log = _Log(folder / NAME, sys.stdout)
    streams = _ByThread(sys.stdout, log), _ByThread(sys.stderr, log)
    with (
        contextlib.closing(log),
        redirect_stdout(streams[0]),
        redirect_stderr(streams[1]),
    ):
        yield
