"""A table some of whose columns name files is read as one that holds what is in them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from pipeline.data.media.column import Chunk, Column, Fault
from pipeline.data.tables import BATCH, Batch, Kind, Table
from pipeline.errors import DataError

ROWS = 256
"""Of a chunk that one process decodes, at most."""


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
        from pipeline.data.media.workers import in_order

        most = BATCH // sum(column.bytes for column in decoded.values())
        chunks = self._chunks(self._kinds_within(kinds), max(1, min(ROWS, most)))
        with contextlib.closing(in_order(decoded, chunks)) as results:
            for (row, cells), arrays in results:
                for name, values in arrays.items():
                    if isinstance(values, Fault):
                        raise self.table.fault(row + values.at, decoded[name].source, values.text)
                yield {name: arrays[name] if name in arrays else cells[name] for name in kinds}

    def _chunks(self, kinds: Mapping[str, Kind], most: int) -> Iterator[Chunk]:
        """Yields the rows of the table within, a few at once. Raises DataError where a cell would
        name several files."""
        row, sources = 0, {column.source for column in self.columns.values()} & set(kinds)
        for whole in self.table.batches(kinds):
            for source in sources:
                if whole[source].ndim > 1:
                    problem = "found several names a row, expected one"
                    raise self.broken(f"column {source!r}: {problem}")
            rows = len(next(iter(whole.values())))
            for start in range(0, rows, most):
                cells = {name: values[start : start + most] for name, values in whole.items()}
                yield row + start, cells
            row += rows

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
