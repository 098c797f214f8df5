"""What a kind of log is that a loop of somebody's own leaves: a module that knows it by its name or
content, and reads its values."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Value:
    """A number that the loop wrote down."""

    column: str
    """As the loop calls it."""
    number: float
    epoch: float | None = None
    """As the log counts them, from 0 or from 1, a part of one as a fraction; None where it says
    nothing of it."""
    step: float | None = None
    """Where it stands among the others of its column; its meaning is the loop's."""


class Log(Protocol):
    """pipeline/training/command/logs/<name>.py."""

    TITLE: str
    """What people call it."""
    ORDER: int
    """Where a loop left several kinds, that with the least counts."""

    def files(self, folder: Path) -> list[Path]:
        """Returns the logs of this kind below the folder, or the folder or file itself; the latest
        written last."""

    def read(self, path: Path) -> Iterator[Value]:
        """Gives the values of one log. Raises ValueError where it cannot be read."""
