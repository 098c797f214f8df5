"""SIGTERM, SIGINT and the end of DVC: a stage ends with 128 + n, at once or when it is ready to."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)

PAUSE = 0.5
"""Seconds between two looks at whether DVC is still there."""


class Interrupted(BaseException):
    """Ends the stage; no Exception, so that nothing on the way takes it for a fault."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Request:
    """A signal that came while it was `deferred`."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    def obey(self) -> None:
        if self.number is not None:
            raise Interrupted(self.number)


_deferred: list[Request] = []


def install() -> None:
    """In the main thread, before any work."""
    for number in SIGNALS:
        signal.signal(number, _arrived)
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(_starters(),), daemon=True).start()


def _arrived(number: int, _: FrameType | None) -> None:
    if _deferred and not _deferred[-1]:
        _deferred[-1].number = number
    else:
        raise Interrupted(number)


@contextlib.contextmanager
def deferred() -> Iterator[Request]:
    """The first signal is only noted, for the caller to obey when it can; a second one is not."""
    request = Request()
    _deferred.append(request)
    try:
        yield request
    finally:
        _deferred.remove(request)


def attended(command: list[str], environ: Mapping[str, str] | None = None) -> int:
    """Runs a program to its end, also when a signal comes, and only then raises Interrupted.

    SIGINT has reached it already, from the terminal; SIGTERM is passed on.
    """
    process = subprocess.Popen(command, env=environ)
    asked: list[int] = []

    def arrived(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, arrived) for number in SIGNALS}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise Interrupted(asked[0])
    return code


def _starters() -> list[tuple[int, int]]:
    """Process and its parent, up to DVC: a shell may stand between."""
    found, process = [], os.getpid()
    while parent := _parent(process):
        found.append((process, parent))
        if not _is_shell(parent):
            break
        process = parent
    return found


def _parent(process: int) -> int | None:
    if process == os.getpid():
        return os.getppid()
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process}/stat").read_text()
        return int(status.rpartition(")")[2].split()[1])
    return None


def _is_shell(process: int) -> bool:
    """One that runs a command, as DVC starts it; not the shell that somebody types in."""
    with contextlib.suppress(OSError):
        return b"-c" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[1:4]
    return False


def _watch(starters: list[tuple[int, int]]) -> None:
    """DVC killed alone would leave its stage running beside the next one."""
    while all(_parent(process) == parent for process, parent in starters):
        time.sleep(PAUSE)
    print("DVC is gone; ending", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
