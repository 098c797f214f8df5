"""What was looked at, how it came out, and why."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Line:
    check: str
    verdict: Literal["passed", "FAILED", "not done"]
    text: str
    """Not escaped: it may quote what a stranger wrote."""


def judged(check: str, faults: list[str], text: str) -> Line:
    """The first fault and how many there are, or `text` if there are none."""
    if not faults:
        return Line(check=check, verdict="passed", text=text)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Line(check=check, verdict="FAILED", text=f"{faults[0]}{more}")
