"""What the ranks of a machine say of themselves, in a file that each of them maps."""

import mmap
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

RUNS, LOST, FAILED = range(1, 4)
"""A rank's state: it works; it has lost the others; it has failed by itself."""
LAYOUT = struct.Struct("=qqd")
BEAT = 0.5
"""Seconds between two signs of life."""


@dataclass(frozen=True)
class Entry:
    """What a rank said last."""

    pid: int
    """0 of one that has said nothing yet."""
    state: int
    beat: float
    """Seconds of this machine's clock that all its processes have."""


class Board:
    """The entries of all ranks, in a file."""

    def __init__(self, path: Path, ranks: int) -> None:
        self.ranks = ranks
        if not path.exists():
            path.write_bytes(bytes(LAYOUT.size * ranks))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size * ranks)

    def entry(self, rank: int) -> Entry:
        """Returns what the rank said last."""
        return Entry(*LAYOUT.unpack_from(self._memory, rank * LAYOUT.size))

    def say(self, rank: int, pid: int, state: int) -> None:
        """Notes a rank's state, and that it lives."""
        LAYOUT.pack_into(self._memory, rank * LAYOUT.size, pid, state, time.monotonic())


class Voice:
    """Says of a rank, from a thread of its own, that it lives."""

    def __init__(self, board: Board, rank: int, pid: int) -> None:
        self._board, self._rank, self._pid, self._state = board, rank, pid, RUNS
        self.say(RUNS)
        threading.Thread(target=self._beat, daemon=True).start()

    def say(self, state: int) -> None:
        """Notes another state."""
        self._state = state
        self._board.say(self._rank, self._pid, state)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT)
            self.say(self._state)
