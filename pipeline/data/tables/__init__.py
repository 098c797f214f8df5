"""Files of rows, read in batches of a few MB so that one larger than memory passes.

The folder is the registry: <suffix>.py has the class Reader for files of that suffix.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from pipeline.config.csv_params import Csv
from pipeline.data.lists import Lists, Template
from pipeline.errors import DataError, ParamsError

Array = np.ndarray[Any, Any]
Batch = dict[str, Any]
"""Columns by name: an Array, or Lists where a row has as many values as it has."""
Kind = Literal["number", "label", "integer", "time", "text", "name", "any"]
"""What a column is read as; a "name" is any single value by its text, the same in each kind of file
(3 and 3.0 are "3", true is "true"), and "any" whatever it is, by its text."""
NUMBERS: tuple[Kind, ...] = ("number", "label", "integer")

EMPTY = (
    "the cell is empty; fill it or drop the row; an input of floats may say missing: mean, one of "
    "texts missing: keep"
)
NO_LABEL = "a label's number (0, 1, …); name the classes in place of their number, [cat, dog]"
NO_DATE = "dates are read as numbers where the input says which, such as time: days"
NO_TIME = "expected a date or a time, such as 2026-01-31 or 2026-01-31T12:30:00Z"
NO_TEXT = "expected text; write it as text, or declare the dtype of a number"

SEPARATED = (".csv", ".tsv")
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

    optional: frozenset[str] = frozenset()
    """Columns that may lack values, which arrive as NaN, NaT or an empty text."""
    hint: str = ""
    """What else may be wrong where a column's name is."""

    def __init__(self, path: Path, csv: Csv | None = None) -> None:
        self.path = path
        self.csv = csv
        self.time_types: dict[str, Any] = {}
        self.shapes = self._shapes()

    varying: Mapping[str, Template] = {}
    """Columns that are declared with dimensions that vary from row to row, with a row's shape."""

    def let_vary(self, columns: Mapping[str, Template]) -> None:
        """Says which these columns are, here and in the tables that this is made of, before any
        row but the first is read."""
        self.varying = columns
        for table in self.within():
            table.let_vary(columns)

    @abstractmethod
    def _shapes(self) -> dict[str, tuple[int | None, ...]]: ...

    @abstractmethod
    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        """Raises DataError for a column that cannot be read as it is declared."""

    @abstractmethod
    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        """Yields the columns of `kinds`, rows first and in the file's order.

        A "number" or "label" arrives in whatever numeric type holds it, as objects where that
        takes Python's integers, an "integer" of a CSV exactly as int64 (so 3.0 is none), a "time"
        as datetime64 in UTC, all else as str objects. Empty cells and values that are no numbers
        raise DataError; NaN, infinity and ranges are the caller's to judge.
        """

    def batches_with_gaps(
        self, kinds: Mapping[str, Kind], optional: frozenset[str]
    ) -> Iterator[Batch]:
        """Yields what `batches` does, where values of some columns may be missing."""
        self.let_miss(optional)
        try:
            yield from self.batches(kinds)
        finally:
            self.let_miss(frozenset())

    def let_miss(self, optional: frozenset[str]) -> None:
        """Lets values of these columns be missing, here and in the tables that this is made of."""
        self.optional = optional
        for table in self.within():
            table.let_miss(optional)

    def named_splits(self, rows: int) -> Array | None:
        """Returns each row's split, as an index, where the split has a file of its own; after a
        pass over these rows."""
        inner = self.within()
        return inner[0].named_splits(rows) if inner else None

    def within(self) -> Sequence["Table"]:
        """Returns the tables that this one is made of."""
        return ()

    def order_kind(self, column: str) -> Kind:
        """Returns whether the column's order is that of its numbers or of its times."""
        inner = self.within()
        return inner[0].order_kind(column) if inner else "number"

    def texts(self, row: int, column: str, values: Array) -> Array:
        """Returns str objects; bytes are taken for UTF-8, and None for an empty text."""
        texts = np.empty(values.shape, object)
        for place, value in np.ndenumerate(values):
            try:
                texts[place] = value.decode() if isinstance(value, bytes) else _text(value)
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
                raise self.broken(f"column {name!r} is there twice; rename one of them{self.hint}")
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
        row, at = self._lists.row_of(position)
        place = map(str, np.unravel_index(at, self._lists.sizes[row]))
        name, bracket, element = column.partition("[")
        where = f"{name}[{', '.join(place)}]{bracket}{element}"
        return self._table.fault(self._first + row, where, problem)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    whole = isinstance(value, float | np.floating) and value.is_integer()
    return str(int(value) if whole else value)


def open_table(path: Path, csv: Csv | None = None) -> Table:
    """Returns the reader that the suffix chooses. Raises DataError, as all readers do."""
    suffix = path.suffix.lower()
    if suffix not in suffixes():
        names = ", ".join(suffixes())
        raise DataError(f"{path}: no reader for {path.suffix!r}, expected one of {names}")
    if csv is not None and suffix not in SEPARATED:
        raise ParamsError(f"data.csv: found settings of a CSV, but {path} is none; set it to null")
    table: Table = importlib.import_module(f"{__name__}{suffix}").Reader(path, csv)
    return table
