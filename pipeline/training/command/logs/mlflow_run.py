"""A run in an MLflow store of the loop's own, a database or folders, read without MLflow: the
newest."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ._files import below
from .contract import Value

TITLE = "MLflow run"
ORDER = 2
NEWEST = "SELECT run_uuid FROM runs ORDER BY start_time DESC, run_uuid LIMIT 1"
METRICS = (
    "SELECT key, value, step FROM metrics WHERE run_uuid = ? AND is_nan = 0 ORDER BY timestamp"
)
MAGIC = b"SQLite format 3\0"


def files(folder: Path) -> list[Path]:
    """Returns databases with MLflow's tables, and the folder of the newest run of those that are
    plain files."""
    databases = below(folder, "*.db", _is_store)
    runs = [
        path.parent for path in below(folder, "meta.yaml") if (path.parent / "metrics").is_dir()
    ]
    return databases or runs[-1:]


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
    try:
        with _opened(path) as database:
            listed = database.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.Error:
        return True  # which `read` says
    return {("runs",), ("metrics",)} <= set(listed)


def read(path: Path) -> Iterator[Value]:
    """Raises ValueError for a store that is damaged, or of tables that are laid out otherwise."""
    yield from _of_folder(path / "metrics") if path.is_dir() else _of_database(path)


def _of_database(path: Path) -> Iterator[Value]:
    try:
        with _opened(path) as database:
            run = database.execute(NEWEST).fetchone()
            rows = database.execute(METRICS, run or ("",)).fetchall()
    except sqlite3.Error as fault:
        raise ValueError(str(fault)) from None
    for key, value, step in rows:
        yield Value(str(key), float(value), None, float(step))


def _of_folder(folder: Path) -> Iterator[Value]:
    """Yields the values of a run's folder, which has a file for each metric, of lines `time value
    step`."""
    for file in below(folder, "*"):
        for line in file.read_text().splitlines():
            parts = line.split()
            if len(parts) < 3:
                raise ValueError(f"{file.name}: found {line!r}, expected time, value and step")
            yield Value(file.relative_to(folder).as_posix(), float(parts[1]), None, float(parts[2]))


def _opened(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """Returns a database that is read alone."""
    return contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True))
