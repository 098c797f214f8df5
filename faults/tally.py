"""What came of a fault's repeats, and what the modules share to count it."""

import importlib
import pkgutil
import random
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

SEED = 6
"""Of every random moment, byte and choice; printed with the figures."""


@dataclass
class Tally:
    tried: int = 0
    survived: int = 0  # came through, or came back when run again, with the same result
    noticed: int = 0  # damage that was told, naming the file
    refused: int = 0  # ended with one clear line before anything was done
    broken: list[str] = field(default_factory=list)  # a line each time that it was not as MUST says
    measured: dict[str, Any] = field(default_factory=dict)  # further figures worth printing

    def demand(self, held: bool, said: str) -> bool:
        """Notes what was found instead where it did not hold."""
        if not held:
            self.broken.append(said)
        return held

    def count(self, name: str, times: int = 1) -> None:
        self.measured[name] = self.measured.get(name, 0) + times

    def longest(self, name: str, seconds: float) -> None:
        self.measured[name] = max(self.measured.get(name, 0.0), round(seconds, 1))


def names() -> list[str]:
    """The faults: the modules of this folder, but for this one and those with an underscore."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if not name.startswith("_") and name != "tally")


def fault(name: str) -> ModuleType:
    return importlib.import_module(f"faults.{name}")


def title(name: str) -> str:
    """The fault as a reader would call it."""
    return (fault(name).__doc__ or name).splitlines()[0].rstrip(".")


def generator(name: str) -> random.Random:
    """The same moments and choices for the same fault every time."""
    return random.Random(f"{SEED} {name}")
