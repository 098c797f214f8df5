"""A machine remembers which histories were trained on it, when, and for how long.

Artifacts hold no clock, so that the same inputs give the same bytes. The marks lie where DVC keeps
nothing, and a training that was pulled has none.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.files import write_atomically

MADE_HERE = Path(".dvc/tmp/trained-here")
"""Has a file for each history, named by its sha256; those of older versions are empty."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is remembered of a training: when it began, how long its epochs took, and on what."""

    began: int
    """Milliseconds since 1970."""
    seconds: float
    """Without the time for which it was interrupted."""
    device: str

    @property
    def ended(self) -> int:
        return self.began + round(1000 * self.seconds)


class Clock:
    """The clock of a training marks each history that it comes to, in place of the one before; one
    that was interrupted goes on."""

    def __init__(self, history: Path, device: str) -> None:
        before = training_of(history) if history.is_file() else None
        self._history, self._device = history, device
        self._began = before.began if before else time.time_ns() // 1_000_000
        self._before = before.seconds if before else 0.0
        self._start, self._mark = time.monotonic(), _mark(history) if before else None

    def mark(self) -> None:
        """Notes that this machine computed what the history says up to now."""
        seconds = round(self._before + time.monotonic() - self._start, 3)
        training = Training(began=self._began, seconds=seconds, device=self._device)
        mark = _mark(self._history)
        mark.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(mark, json.dumps(asdict(training)) + "\n")
        if self._mark and self._mark != mark:
            self._mark.unlink(missing_ok=True)
        self._mark = mark


def training_of(history: Path) -> Training | None:
    """Returns what this machine knows of the training; None where it was elsewhere, or marked by a
    version that kept no time."""
    mark = _mark(history)
    text = mark.read_text() if mark.is_file() else ""
    return Training(**json.loads(text)) if text else None


def is_made_here(history: Path) -> bool:
    """Returns whether this machine's processor computed what `history` says, bit for bit."""
    training = training_of(history)
    return training.device == "cpu" if training else _mark(history).is_file()


def _mark(history: Path) -> Path:
    return MADE_HERE / hashlib.sha256(history.read_bytes()).hexdigest()
