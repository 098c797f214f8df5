"""Files of rows, read in batches of a few MB so that one larger than memory passes.

The folder is the registry: <suffix>.py has the class Reader for files of that suffix.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from pipeline.data.ragged import Lists
from pipeline.errors import DataError

Array = np.ndarray[Any, Any]
Batch = dict[str, Any]
"""Columns by name: an Array, or Lists where a row has as many values as it has."""
Kind = Literal["number", "label", "integer", "text", "id", "any"]
"""What a column is read as; an "id" is any single value, and "any" whatever it is, by its text."""
NUMBERS: tuple[Kind, ...] = ("number", "label", "integer")

EMPTY = "the cell is empty; fill it or drop the row"
NO_LABEL = "a label's number (0, 1, …): texts are no labels; number the classes in the file"
NO_DATE = "dates and times are not read as numbers; make a column of seconds or days of it"
NO_TEXT = "expected text; write it as text, or declare the dtype of a number"

EXACT = 2**53
"""Up to here a float64 says which integer is meant."""

BATCH = 1 << 22
"""Bytes of one batch's arrays, roughly."""


class Faults(Protocol):
    """What names the place of a bad value."""

    def fault(self, row: int, column: str, problem: str) -> DataError: ...


class Table(ABC):
    """A table is a file's columns by name, with the shape of one row's value: () is a cell, None a
    size that varies from row to row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes = self._shapes()

    varying: frozenset[str] = frozenset()
    """Columns that are declared with a dimension that varies from row to row."""

    def let_vary(self, columns: Iterable[str]) -> None:
        """Says which these columns are, before any row but the first is read."""
        self.varying = frozenset(columns)

    @abstractmethod
    def _shapes(self) -> dict[str, tuple[int | None, ...]]: ...

    @abstractmethod
    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        """Raises DataError for a column that cannot be read as it is declared."""

    @abstractmethod
    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        """Yields the columns of `kinds`, rows first and in the file's order.

        A "number" or "label" arrives in whatever numeric type holds it, as objects where that
        takes Python's integers, an "integer" of a CSV exactly as int64 (so 3.0 is none), all else
        as str objects. Empty cells and values that are no numbers raise DataError; NaN, infinity
        and ranges are the caller's to judge.
        """

    def texts(self, row: int, column: str, values: Array) -> Array:
        """Returns str objects; bytes are taken for UTF-8."""
        texts = np.empty(values.shape, object)
        for place, value in np.ndenumerate(values):
            try:
                texts[place] = value.decode() if isinstance(value, bytes) else str(value)
            except UnicodeDecodeError:
                problem = f"found {value!r}, expected UTF-8 text; save it as UTF-8"
                raise self.fault(row + place[0], column, problem) from None
        return texts

    def line(self, row: int) -> int | None:
        """Returns the line of a text file, from 1, that holds the row, from 0."""
        return None

    def fault(self, row: int, column: str, problem: str) -> DataError:
        line = self.line(row)
        place = f"row {row + 1}" + (f" (line {line})" if line else "")
        return DataError(f"{self.path}: {place}, column {column!r}: {problem}")

    def broken(self, problem: object) -> DataError:
        return DataError(f"{self.path}: {str(problem).splitlines()[0]}")

    def _cells(self, names: list[str]) -> dict[str, tuple[int | None, ...]]:
        shapes: dict[str, tuple[int | None, ...]] = {}
        for name in names:
            if name in shapes:
                raise self.broken(f"column {name!r} is there twice; rename one of them")
            shapes[name] = ()
        return shapes


def suffixes() -> list[str]:
    """Returns the suffixes that there is a reader for."""
    return sorted(f".{file.stem}" for file in Path(__file__).parent.glob("[!_]*.py"))


class RowsOfLists:
    """Says of a value in a batch of lists in which row of the table it is; `first` is the number
    of the batch's first row."""

    def __init__(self, table: Table, first: int, lists: Lists) -> None:
        self._table, self._first, self._lists = table, first, lists

    def fault(self, position: int, column: str, problem: str) -> DataError:
        row, place = self._lists.row_of(position)
        name, bracket, element = column.partition("[")
        where = f"{name}[{place}]{bracket}{element}"
        return self._table.fault(self._first + row, where, problem)


def open_table(path: Path) -> Table:
    """Returns the reader that the suffix chooses. Raises DataError, as all readers do."""
    suffix = path.suffix.lower()
    if suffix not in suffixes():
        names = ", ".join(suffixes())
        raise DataError(f"{path}: no reader for {path.suffix!r}, expected one of {names}")
    table: Table = importlib.import_module(f"{__name__}{suffix}").Reader(path)
    return table
