"""Frameworks, a module each, found by name; contract.py says what each has to be.

It imports nothing of ours.
"""

import importlib
from pathlib import Path
from typing import Any, cast

from .contract import Framework


def names() -> list[str]:
    """Returns the frameworks that there are; none is loaded."""
    modules = (path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return sorted(name for name in modules if name != "contract")


def framework(name: str) -> Framework[Any]:
    """Loads a framework, and with it the library that it is for: seconds."""
    return cast(Framework[Any], importlib.import_module(f"{__name__}.{name}"))
