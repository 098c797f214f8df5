"""A CSV of one row an epoch or a step: one's own, Keras' CSVLogger, Lightning's metrics.csv."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from ._files import below
from .contract import Value

TITLE = "CSV log"
ORDER = 1
SEPARATORS = ",;\t"


def files(folder: Path) -> list[Path]:
    """Returns the tables that have a column `epoch` or `step`, or that were named themselves."""
    return below(folder, "*.[ct]sv", lambda path: path == folder or bool(_places(_head(path))))


def read(path: Path) -> Iterator[Value]:
    """Yields the values. A cell that is empty or no number was not measured."""
    with path.open(newline="", errors="replace") as file:
        reader = csv.DictReader(file, delimiter=_separator(path))
        rows = list(reader)
    heads = _places(list(rows[0])) if rows else {}
    epoch, step = heads.get("epoch"), heads.get("step")
    last: float | None = None
    for number, row in enumerate(rows, 1):
        said = _number(row.get(epoch)) if epoch else None
        last = said if said is not None else last
        at = _number(row.get(step)) if step else float(number)
        for column, cell in row.items():
            value = _number(cell) if column not in (None, epoch, step) else None
            if value is not None:
                yield Value(column, value, last, at)


def _head(path: Path) -> list[str]:
    with path.open(newline="", errors="replace") as file:
        return next(csv.reader(file, delimiter=_separator(path)), [])


def _separator(path: Path) -> str:
    with path.open(errors="replace") as file:
        line = file.readline(1 << 16)
    return max(SEPARATORS, key=line.count)


def _places(head: list[str]) -> dict[str, str]:
    """Returns the columns of epoch and step, whatever their case."""
    lower = {(name or "").strip().lower(): name for name in reversed(head)}
    return {name: lower[name] for name in ("epoch", "step") if name in lower}


def _number(cell: str | list[str] | None) -> float | None:
    with contextlib.suppress(ValueError, TypeError):
        return float(cell)  # type: ignore[arg-type]
    return None
