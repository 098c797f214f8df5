"""Several files are read one after the other, as one table."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.tables import Array, Batch, Kind, Table
from pipeline.errors import DataError


class Parts(Table):
    """Each part has the columns of the first; a fault is told as that of its part."""

    def __init__(self, path: Path, parts: Sequence[Table]) -> None:
        """`path` is the folder or the pattern."""
        self.parts = parts
        self.starts = [0]
        """The number of each part's first row, as far as it has been read."""
        super().__init__(path)

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        first = self.parts[0]
        for part in self.parts[1:]:
            if missing := sorted(first.shapes.keys() - part.shapes.keys()):
                raise part.broken(f"no column {missing[0]!r}, which {first.path.name} has")
            if more := sorted(part.shapes.keys() - first.shapes.keys()):
                raise part.broken(f"column {more[0]!r} is not in {first.path.name}; leave it out")
            for name, shape in first.shapes.items():
                if part.shapes[name] != shape:
                    there = f"where {first.path.name} has {shape}"
                    raise part.broken(f"column {name!r}: found shape {part.shapes[name]}, {there}")
        return first.shapes

    def within(self) -> Sequence[Table]:
        return self.parts

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        for part in self.parts:
            part.demand_kinds(kinds)

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        row = 0
        for index, part in enumerate(self.parts):
            self.starts[index:] = [row]
            for batch in part.batches(kinds):
                yield batch
                row += len(next(iter(batch.values())))

    def _within(self, row: int) -> tuple[Table, int]:
        """Returns the part that has the row, and its number there."""
        index = bisect_right(self.starts, row) - 1
        return self.parts[index], row - self.starts[index]

    def line(self, row: int) -> int | None:
        part, number = self._within(row)
        return part.line(number)

    def fault(self, row: int, column: str, problem: str) -> DataError:
        part, number = self._within(row)
        return part.fault(number, column, problem)


class OwnFiles(Parts):
    """Each split has a part of its own."""

    def __init__(self, path: Path, parts: Mapping[int, Table]) -> None:
        """`parts` are by the index of their split."""
        self.splits = list(parts)
        super().__init__(path, list(parts.values()))

    def named_splits(self, rows: int) -> Array:
        """Returns the split of each row, after a pass over all of them."""
        counts = np.diff([*self.starts, rows])
        if empty := [
            part.path for part, count in zip(self.parts, counts, strict=True) if not count
        ]:
            raise DataError(f"{empty[0]}: holds no row, expected some; add rows")
        return np.repeat(np.array(self.splits, np.int8), counts)
