"""A table some of whose columns name files is read as one that holds what is in them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.media import Decode, Place, Undecodable, demand_file
from pipeline.data.tables import BATCH, Array, Batch, Kind, Table
from pipeline.errors import DataError

THREADS = min(8, os.cpu_count() or 1)
"""Decoders leave Python's lock while they work; the order of the rows does not hang on it."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of arrays, by the column that names their files."""

    source: str
    place: Place
    decode: Decode
    shape: tuple[int, ...]
    bytes: int
    """Of one row's array."""

    def array(self, name: str) -> Array:
        file = self.place.file(name)
        demand_file(file, self.place)
        return self.decode(file)


class Decoded(Table):
    """It has the columns of the table within, and those that are decoded by names of their own."""

    def __init__(self, table: Table, columns: Mapping[str, Column], within: set[str]) -> None:
        """`within` are the columns that are read as they are."""
        self.table, self.columns, self.as_they_are = table, columns, within
        super().__init__(table.path)

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        sources = {column.source for column in self.columns.values()}
        if missing := sorted(sources - self.table.shapes.keys()):
            there = ", ".join(map(repr, self.table.shapes))
            raise self.broken(f"no column {missing[0]!r}; it has {there}")
        own = {
            n: s for n, s in self.table.shapes.items() if n in self.as_they_are or n not in sources
        }
        return own | {name: column.shape for name, column in self.columns.items()}

    def let_vary(self, columns: Iterable[str]) -> None:
        super().let_vary(columns)
        self.table.let_vary(self.varying)

    def within(self) -> Sequence[Table]:
        return (self.table,)

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        self.table.demand_kinds(self._kinds_within(kinds))

    def _kinds_within(self, kinds: Mapping[str, Kind]) -> dict[str, Kind]:
        """Returns what is read of the table within; names are texts there."""
        sources = [self.columns[name].source for name in kinds if name in self.columns]
        named: dict[str, Kind] = dict.fromkeys(sources, "text")
        return named | {name: kind for name, kind in kinds.items() if name not in self.columns}

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        """Yields fewer rows at once than the table within, for an array is larger than its name."""
        decoded = {name: self.columns[name] for name in kinds if name in self.columns}
        if not decoded:
            yield from self.table.batches(kinds)
            return
        from concurrent.futures import ThreadPoolExecutor

        most, row = max(1, BATCH // sum(column.bytes for column in decoded.values())), 0
        with ThreadPoolExecutor(THREADS) as threads:
            for whole in self.table.batches(self._kinds_within(kinds)):
                rows = len(next(iter(whole.values())))
                for start in range(0, rows, most):
                    cells = {n: values[start : start + most] for n, values in whole.items()}
                    arrays = {
                        name: self._arrays(threads, row + start, column, cells[column.source])
                        for name, column in decoded.items()
                    }
                    yield {name: arrays[name] if name in arrays else cells[name] for name in kinds}
                row += rows

    def _arrays(self, threads: Any, row: int, column: Column, names: Array) -> Array:
        """Returns the decoded arrays of one batch, whose first row is `row`, from 0."""
        if names.ndim > 1:
            raise self.broken(f"column {column.source!r}: found several names a row, expected one")
        arrays: list[Array] = []
        for each in threads.map(lambda name: _array_or_fault(column, name), names):
            if isinstance(each, Undecodable):
                raise self.table.fault(row + len(arrays), column.source, str(each))
            arrays.append(each)
        return np.stack(arrays)

    def line(self, row: int) -> int | None:
        return self.table.line(row)

    def fault(self, row: int, column: str, problem: str) -> DataError:
        """Names the file, too, where the problem is in what was decoded."""
        name, bracket, element = column.partition("[")
        if name not in self.columns:
            return self.table.fault(row, column, problem)
        decoded = self.columns[name]
        file = decoded.place.file(self._cell(row, decoded.source))
        where = f" at [{element}" if bracket else ""
        return self.table.fault(row, decoded.source, f"{file}: {problem}{where}")

    def _cell(self, row: int, column: str) -> str:
        """Reads the table up to the row: slow, for faults."""
        for batch in self.table.batches({column: "text"}):
            if row < len(batch[column]):
                return str(batch[column][row])
            row -= len(batch[column])
        raise self.broken("changed while it was read; run `dvc repro` again")


def _array_or_fault(column: Column, name: str) -> Array | Undecodable:
    try:
        return column.array(name)
    except Undecodable as fault:
        return fault
