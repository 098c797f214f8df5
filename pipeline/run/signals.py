"""A stage ends with 128 + n at a signal and at the end of DVC: at once, or when it is ready."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from pipeline.run.dvc_process import RUNS_STAGES, is_left, parent_of, processes_up_to_dvc

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP is that the terminal is gone."""

WATCH_INTERVAL = 0.5
"""Seconds between two looks at whether DVC is still there."""

SAME = 1.0
"""Seconds within which a signal is the one before, which came another way as well: who signals a
whole group reaches a process, and those above it, which pass theirs on."""


class Interrupted(BaseException):
    """Interrupted ends the stage; it is no Exception, so that nothing takes it for a fault."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Arrivals:
    """What has come of signals to this process, each once."""

    def __init__(self) -> None:
        self._last: float | None = None

    def __bool__(self) -> bool:
        return self._last is not None

    def is_another(self) -> bool:
        """Returns whether a signal that comes now is another than the one before."""
        now = time.monotonic()
        if self._last is not None and now - self._last < SAME:
            return False
        self._last = now
        return True


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
_arrivals = Arrivals()


def install() -> None:
    """Handles signals and watches who runs the stage; called in the main thread, before any
    work."""
    global _arrivals
    _arrivals = Arrivals()
    for number in handled():
        signal.signal(number, _on_signal)
    if {"DVC_STAGE", RUNS_STAGES} & os.environ.keys():
        threading.Thread(target=_end_with_dvc, args=(processes_up_to_dvc(),), daemon=True).start()


def handled() -> tuple[signal.Signals, ...]:
    """Returns the signals that end this process; under `nohup` the terminal's end is none."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return SIGNALS[:-1] if ignored else SIGNALS


def _on_signal(number: int, _: FrameType | None) -> None:
    if not _arrivals.is_another():
        return
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


def _end_with_dvc(pairs: list[tuple[int, int]]) -> None:
    """Ends the stage when DVC is gone, which would leave it running beside the next one."""
    if not ("DVC_STAGE" in os.environ and is_left(pairs)):
        while all(parent_of(process) == parent for process, parent in pairs):
            time.sleep(WATCH_INTERVAL)
    if not _arrivals:
        print("DVC is gone; ending", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
