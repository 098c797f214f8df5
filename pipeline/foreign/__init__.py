"""Checkpoints that were made elsewhere, a module for each kind; contract.py says what one has to
be.

This module finds the kind of a file or folder by its content.
"""

import importlib
from pathlib import Path
from typing import cast

from pipeline.errors import DataError

from .contract import Foreign, Kind

NOT_KINDS = ("contract", "lazily", "matching")


def names() -> list[str]:
    """Returns the kinds' names."""
    files = (path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return sorted(name for name in files if name not in NOT_KINDS)


def kind(name: str) -> Kind:
    """Returns the module of a kind."""
    return cast(Kind, importlib.import_module(f"{__name__}.{name}"))


def recognized(path: Path) -> str:
    """Returns the name of the kind that the content is of. Raises DataError, one line."""
    if not path.exists():
        raise DataError(f"{path}: missing; expected a checkpoint, a file or a folder")
    for name in names():
        if kind(name).recognizes(path):
            return name
    titles = ", ".join(kind(name).TITLE for name in names())
    raise DataError(f"{path}: no checkpoint that is known, expected one of: {titles}")


def read(path: Path) -> Foreign:
    """Opens the checkpoint at the path, whatever its kind. Raises DataError, one line."""
    return kind(recognized(path)).read(path)
