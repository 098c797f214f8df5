"""A plug-in is found by its name in its folder: the folder is the registry."""

import importlib
from types import ModuleType


def plugin(folder: str, name: str) -> ModuleType:
    """Imports pipeline.<folder>.<name>; it exists, for reading the params has checked the name."""
    return importlib.import_module(f"pipeline.{folder}.{name}")
