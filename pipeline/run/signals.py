"""A stage ends with 128 + n at SIGTERM, SIGINT and the end of DVC: at once, or when it is ready."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from types import FrameType

from pipeline.run.dvc_process import parent_of, processes_up_to_dvc

SIGNALS = (signal.SIGTERM, signal.SIGINT)

WATCH_INTERVAL = 0.5
"""Seconds between two looks at whether DVC is still there."""


class Interrupted(BaseException):
    """Interrupted ends the stage; it is no Exception, so that nothing takes it for a fault."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class PendingSignal:
    """A pending signal is one that came while signals were `deferred`; false until it came."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    def raise_if_set(self) -> None:
        if self.number is not None:
            raise Interrupted(self.number)


_deferred: list[PendingSignal] = []
_raised: list[Interrupted] = []


def install() -> None:
    """Handles signals and watches DVC; called in the main thread, before any work."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with_dvc, args=(processes_up_to_dvc(),), daemon=True).start()


def _on_signal(number: int, _: FrameType | None) -> None:
    if _deferred and not _deferred[-1]:
        _deferred[-1].number = number
    else:
        _raised.append(Interrupted(number))
        raise _raised[-1]


def note(number: int) -> None:
    """Notes a signal that came to another process as one that came to this, where signals are
    `deferred`."""
    if _deferred:
        _deferred[-1].number = number


def raised() -> Interrupted | None:
    """Returns what was raised: an extension module that is being imported makes an ImportError of
    it."""
    return _raised[-1] if _raised else None


@contextlib.contextmanager
def deferred() -> Iterator[PendingSignal]:
    """Only notes the first signal, for the caller to raise when ready; a second one raises."""
    pending = PendingSignal()
    _deferred.append(pending)
    try:
        yield pending
    finally:
        _deferred.remove(pending)


def ends_with_parent() -> list[str]:
    """Returns the words before a command that gets SIGTERM when its parent is killed."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "TERM"] if program else []


def run_to_its_end(command: list[str], environ: Mapping[str, str] | None = None) -> int:
    """Runs a program to its end, also when a signal comes, and only then raises Interrupted.

    SIGINT has reached it already, from the terminal; SIGTERM is passed on. It ends when this
    process is killed: whoever starts the same again would else work beside it.
    """
    process = subprocess.Popen([*ends_with_parent(), *command], env=environ)
    arrived: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        arrived.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        raise Interrupted(arrived[0])
    return code


def _end_with_dvc(pairs: list[tuple[int, int]]) -> None:
    """Ends the stage when DVC is gone, which would leave it running beside the next one."""
    while all(parent_of(process) == parent for process, parent in pairs):
        time.sleep(WATCH_INTERVAL)
    print("DVC is gone; ending", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
