"""Logs that a loop of somebody's own leaves, a module for each kind (contract.py)."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pipeline.errors import DataError

from .contract import Log, Value


def names() -> list[str]:
    """Returns the kinds' names."""
    files = (path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return sorted(name for name in files if name != "contract")


def kind(name: str) -> Log:
    """Returns the module of a kind."""
    return cast(Log, importlib.import_module(f"{__name__}.{name}"))


def read(places: Sequence[Path]) -> tuple[str, list[Value]]:
    """Returns the kind's title and the values of all logs of the first kind that is found there; ""
    and none where there is no log. Raises DataError for one that cannot be read."""
    for each in sorted(map(kind, names()), key=lambda log: log.ORDER):
        files = [file for place in places for file in each.files(place)]
        if files:
            return each.TITLE, [value for file in files for value in _values(each, file)]
    return "", []


def _values(log: Log, file: Path) -> list[Value]:
    try:
        return list(log.read(file))
    except ValueError as fault:
        raise DataError(
            f"{file}: no {log.TITLE} that can be read: {' '.join(str(fault).split())}; name "
            "another log with train.history"
        ) from None
