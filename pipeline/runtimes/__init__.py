"""Runtimes, a folder each: programs in other languages that load a complete model's files.

This module finds them by name. contract.py says what each has to be.

It imports formats.
"""

import importlib
from pathlib import Path
from typing import cast

from pipeline import formats
from pipeline.runtimes.contract import Program, Runtime


def names() -> list[str]:
    folders = Path(__file__).parent.glob("[!_]*/__init__.py")
    return sorted(path.parent.name for path in folders)


def declared(name: str) -> Runtime:
    return cast(Runtime, importlib.import_module(f"{__name__}.{name}").RUNTIME)


def trains(name: str, directory: Path) -> str:
    """Returns the format by which its program trains the complete model in `directory` on; "" where
    it does not."""
    taken = declared(name).trains
    return taken if taken and (directory / formats.declared(taken).file).is_file() else ""


def program(name: str) -> Program:
    return cast(Program, importlib.import_module(f"{__name__}.{name}.program"))


def tolerance(name: str, atol: float, rtol: float) -> tuple[float, float]:
    """Returns how far its answers may be off where those of its format may be off as given."""
    own = declared(name).rounds
    return max(own.atol, atol), max(own.rtol, rtol)
