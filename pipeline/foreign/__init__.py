"""Checkpoints that were made elsewhere are read here, a module for each kind; contract.py says what
one has to be.

This module finds the kind of a file or folder by its content. `matching` then brings the tensors to
the names of a model, and a kind runs nothing that stands in the file.

It imports config, formats, frameworks, sandbox and untrusted.
"""

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from pipeline.errors import DataError

from ._averages import TRAINED as TRAINED
from .contract import Foreign, Kind

NOT_KINDS = ("contract", "lazy_mapping", "matching", "sets")


def names() -> list[str]:
    """Returns the kinds' names."""
    files = (path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return sorted(name for name in files if name not in NOT_KINDS)


def kind(name: str) -> Kind:
    """Returns the module of a kind."""
    return cast(Kind, importlib.import_module(f"{__name__}.{name}"))


def recognized(path: Path) -> str:
    """Returns the name of the kind that the content is of. Raises DataError, one line."""
    with _readable(path):
        if not path.exists():
            raise DataError(f"{path}: missing; expected a checkpoint, a file or a folder")
        for name in names():
            if kind(name).recognizes(path):
                return name
    titles = ", ".join(kind(name).TITLE for name in names())
    raise DataError(f"{path}: no checkpoint that is known, expected one of: {titles}")


def read(path: Path) -> Foreign:
    """Opens the checkpoint at the path, whatever its kind. Raises DataError, one line."""
    name = recognized(path)
    with _readable(path):
        return kind(name).read(path)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises DataError, one line, for what the system does not let anybody read."""
    try:
        yield
    except OSError as fault:
        raise DataError(
            f"{path}: {fault.strerror or fault}; make it readable, or copy it elsewhere"
        ) from None
