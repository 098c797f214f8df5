"""Plug-ins by file name: the folder is the registry."""

import importlib
from types import ModuleType


def plugin(folder: str, name: str) -> ModuleType:
    """pipeline.<folder>.<name>; reading the params has seen to it that it exists."""
    return importlib.import_module(f"pipeline.{folder}.{name}")
