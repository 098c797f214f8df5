"""What a check gives: a Result, with every Fault that it found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, in one line. It may quote what a stranger wrote, not escaped."""

    text: str
    format: str | None = None
    """None where it concerns the whole artifact."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a check came to: its faults, or that there are none."""

    faults: tuple[Fault, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)
    """By format, and whatever else belongs to the whole artifact."""
    summary: str = ""
    """What was looked at, for a person, when nothing is at fault."""
    done: bool = True
    """False where there was nothing to check it by, which `summary` then tells."""

    @property
    def verdict(self) -> str:
        return "FAILED" if self.faults else "passed" if self.done else "not done"

    @property
    def text(self) -> str:
        """Returns the first fault and how many more there are, or the summary."""
        if not self.faults:
            return self.summary
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        return f"{self.faults[0].text}{more}"


def failed(faults: Iterable[str], summary: str = "") -> Result:
    """Returns a Result of these faults of the whole artifact; without any it has passed."""
    return Result(faults=tuple(map(Fault, faults)), summary=summary)
