"""A command of the user's own runs to its end: its output is shown as it comes, and kept."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from pipeline.run import lock
from pipeline.run.signals import SAME, Arrivals, Interrupted, handled

SUPERVISOR = Path(__file__).with_name("supervisor.py")
TAIL = 1 << 14
"""Bytes of the output in which its last line is looked for."""
LONGEST = 300
"""Characters of the last line that are shown again."""
DRAIN = 5.0
"""Seconds for what was printed and not yet read, once everything has ended."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    last_line: str
    """What it printed last; "" if it printed nothing."""

    @property
    def how(self) -> str:
        if self.code > 128:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(self.code - 128).name}"
        return f"ended with {self.code}"


def run(command: Sequence[str], environ: Mapping[str, str], log: IO[bytes]) -> Ended:
    """Runs it to its end, which a signal brings about; then raises Interrupted.

    The command's processes are in a group that no terminal signals, and are signalled through the
    supervisor alone, each once.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(SUPERVISOR), str(SAME), *command],
        env=dict(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        pass_fds=lock.held(),
    )
    assert process.stdout is not None
    shown = _Shown(process.stdout, log)
    with _passed_on(process.send_signal) as arrived:
        shown.start()
        code = process.wait()
    code = code if code >= 0 else 128 - code
    shown.join(DRAIN)
    if arrived:
        raise Interrupted(arrived[0])
    if shown.fault is not None:
        raise shown.fault
    return Ended(code, shown.last_line())


@contextlib.contextmanager
def _passed_on(send: Callable[[int], None]) -> Iterator[list[int]]:
    """Hands signals on meanwhile, and gives a list of those that came."""
    arrivals, arrived = Arrivals(), list[int]()

    def pass_on(number: int, _: FrameType | None) -> None:
        if arrivals.is_another():
            arrived.append(number)
            send(number)

    before = {number: signal.signal(number, pass_on) for number in handled()}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Shown(threading.Thread):
    """Copies what is printed to the terminal and to the log, until all who could print have ended.

    It reads on where neither can be written: a command that waits for a reader never ends.
    """

    def __init__(self, source: IO[bytes], log: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.fault: OSError | None = None
        self._source, self._log, self._tail = source, log, b""

    def run(self) -> None:
        while chunk := os.read(self._source.fileno(), 1 << 16):
            self._tail = (self._tail + chunk)[-TAIL:]
            with contextlib.suppress(OSError):  # whoever looked at it is gone
                os.write(sys.stdout.fileno(), chunk)
            try:
                self._log.write(chunk)
                self._log.flush()
            except OSError as fault:
                self.fault = fault

    def last_line(self) -> str:
        text = ESCAPES.sub("", re.sub(r"[\r\n]+", "\n", self._tail.decode(errors="replace")))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][-LONGEST:] if lines else ""
