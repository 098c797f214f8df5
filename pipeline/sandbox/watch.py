"""Watches a confined process from its start to its end, and ends it at a limit: time, memory,
threads, files, and what it says on stderr."""

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pipeline.config.params import Limits
from pipeline.sandbox import disk
from pipeline.sandbox.processes import Process
from pipeline.sandbox.reports import GIB

LOOK_AT_MEMORY, LOOK_AT_FILES = 0.1, 0.25
"""Seconds between two looks."""

IN_USE = (b"VmRSS", b"VmSwap", b"VmPTE", b"HugetlbPages")
"""Memory in /proc/<process>/status: what is there, what is swapped out, and the tables of both."""

OWN_THREADS, THREADS_A_CORE = 512, 16
"""That libraries start whatever they are told, and for each core or thread of the arithmetic."""

LONGEST_LINE = 400

MOST_WORDS, LAST_WORDS, AT_ONCE = 16 << 20, 4096, 1 << 16
"""Bytes on stderr: of all, of those that are kept, and that are read at once."""


class Watch:
    """Watches one process, and has the last that it printed."""

    def __init__(self, process: Process, words: IO[bytes], work_dir: Path, limits: Limits):
        self.process, self.work_dir, self.limits = process, work_dir, limits
        self.stderr = words.fileno()
        self.words, self.last = 0, b""

    def until_its_end(self, threads: int, ending: threading.Event) -> str | None:
        """Waits for its end, or ends it and says at which limit; `threads` of the arithmetic."""
        looks: list[tuple[float, Callable[[], str | None]]] = [
            (LOOK_AT_MEMORY, lambda: self._status(threads)),
            (LOOK_AT_FILES, self._files),
        ]
        start = time.monotonic()
        due = [start for _ in looks]
        while self._waited(min(due)):
            now, limit = time.monotonic(), None
            if now - start > self.limits.minutes * 60:
                limit = f"at the limit of time: verify.limits.minutes is {self.limits.minutes:g}"
            for number, (every, look) in enumerate(looks):
                if now >= due[number]:
                    limit = limit or look()
                    due[number] = time.monotonic() + every
            if self.words > MOST_WORDS:
                limit = f"at the limit of words: {MOST_WORDS >> 20} MiB may be said on stderr"
            if ending.is_set():
                limit = "with this one"
            if limit:
                self.process.kill()
                self.process.wait()
                return f"the process was ended {limit}"
        limit = disk.limit_reached(self.work_dir, self.limits)
        return limit and f"the process ended {limit}"

    def _waited(self, until: float) -> bool:
        """Reads what it says until then, or once; returns whether it is still there."""
        left = max(until - time.monotonic(), 0)
        if self.stderr < 0:
            try:
                self.process.wait(left)
            except subprocess.TimeoutExpired:
                return True
            return False
        poll = select.poll()
        poll.register(self.stderr, select.POLLIN)
        if poll.poll(left * 1000):
            said = os.read(self.stderr, AT_ONCE)
            self.words += len(said)
            self.last = (self.last + said)[-LAST_WORDS:]
            if not said:  # it ended, or closed it
                self.stderr = -1
        return True

    @property
    def last_words(self) -> str:
        """Returns the last line that the process printed, as much of it as a line of a report
        holds."""
        lines = self.last.decode(errors="replace").strip().splitlines()
        return " ".join(lines[-1:])[:LONGEST_LINE]

    def _files(self) -> str | None:
        return disk.limit_reached(self.work_dir, self.limits, self.process.pid)

    def _status(self, threads: int) -> str | None:
        """Says at which limit its memory or threads are; None where the system tells nothing."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_bytes()
        except OSError:
            return None
        # It chose its own name, the first line: of any bytes but a newline.
        fields = dict(line.split(b":", 1) for line in text.split(b"\n")[1:-1])
        used = sum(int(fields.get(name, b"0").split()[0]) << 10 for name in IN_USE)
        if used > self.limits.memory_gib * GIB:
            most = f"verify.limits.memory_gib is {self.limits.memory_gib:g}"
            return f"at the limit of memory, using {used / GIB:.2f} GiB: {most}"
        started = int(fields[b"Threads"])
        most_threads = OWN_THREADS + THREADS_A_CORE * max(threads, os.cpu_count() or 1)
        if started > most_threads:
            return f"at the limit of threads, with {started}: {most_threads} may be"
        return None
