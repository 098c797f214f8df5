"""Runs a command and outlives it: nothing of what the command started is left when it has ended, or
when the stage is gone, however that came.

It is a script of the standard library alone, between the stage and the command. What it gets of
SIGINT and SIGTERM it hands on to the command's processes, and SIGHUP as SIGTERM, at which programs
save their state; a second one, and not the same that came another way, kills them. It holds the
stage's lock on the output, so that no other writer begins before the last process has ended.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

GRACE = 60.0
"""Seconds that a command has, once it was told to end, to write what it wants to go on from."""
LEFT_BEHIND = 3.0
"""Seconds that processes have which the command left running."""
SUBREAPER = 36


class Supervised:
    """A command with all the processes that come of it."""

    def __init__(self, same: float, command: list[str]) -> None:
        """`same` are the seconds within which a signal is the one before."""
        self._signals: list[int] = []
        self._same, self._last = same, 0.0
        self._process: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
                signal.signal(number, self._on_signal)
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
        if self._signals:
            self._ask_to_end(self._signals[0])

    def wait(self) -> int:
        """Returns the command's exit code, 128 + n for signal n, once all its processes ended."""
        assert self._process is not None
        code = self._process.wait()
        self._end_others()
        return code if code >= 0 else 128 - code

    def end_with_stage(self) -> None:
        """Ends everything once the stage's end of the pipe is closed."""
        while os.read(sys.stdin.fileno(), 1):
            pass
        self._end(signal.SIGTERM)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self._signals or now - self._last >= self._same:
            self._last = now
            self._end(number)

    def _end(self, number: int) -> None:
        self._signals.append(number)
        if self._process is None:
            return
        if len(self._signals) > 1:
            kill(descendants(os.getpid()), signal.SIGKILL)
            return
        self._ask_to_end(number)

    def _ask_to_end(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM if number == signal.SIGHUP else number)
        threading.Thread(target=self._end_after_grace, daemon=True).start()

    def _end_after_grace(self) -> None:
        time.sleep(GRACE)
        kill(descendants(os.getpid()), signal.SIGKILL)

    def _end_others(self) -> None:
        end = time.monotonic() + LEFT_BEHIND
        number: int = signal.SIGTERM
        while others := descendants(os.getpid()):
            kill(others, number)
            time.sleep(0.05)
            reap()
            if time.monotonic() > end:
                number = signal.SIGKILL


def descendants(ancestor: int) -> list[int]:
    """Returns the processes that come of this one, but for those that have ended."""
    parents = dict(filter(None, map(_parent, Path("/proc").glob("[0-9]*"))))
    below: list[int] = []
    waiting = [ancestor]
    while waiting:
        above = waiting.pop()
        waiting += (children := [each for each, parent in parents.items() if parent == above])
        below += children
    return below


def _parent(entry: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        return None if state == "Z" else (int(entry.name), int(parent))
    return None


def kill(processes: list[int], number: int) -> None:
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, number)


def reap() -> None:
    """Takes note of every process that ended: those left behind become this one's children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(same: float, command: list[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
    supervised = Supervised(same, command)
    threading.Thread(target=supervised.end_with_stage, daemon=True).start()
    return supervised.wait()


if __name__ == "__main__":
    os._exit(main(float(sys.argv[1]), sys.argv[2:]))
