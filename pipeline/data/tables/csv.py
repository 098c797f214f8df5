"""The reader of .csv."""

import csv
from collections.abc import Iterator, Mapping
from itertools import islice

from pipeline.data.tables import Batch, Kind, Table
from pipeline.data.tables._arrow import arrow_types, to_numpy
from pipeline.errors import DataError

BLOCK = 1 << 18
"""Bytes; Arrow reads 32 blocks ahead."""


class Reader(Table):
    """A CSV is comma-separated UTF-8 with a header line; empty lines are no rows."""

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        _, header = next(self._records(), (1, []))
        if not header:
            raise self.broken("empty, expected a header line and rows below it")
        return self._cells(header)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yields each record with the number of its first line: slow, for the header and faults."""
        with self.path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader, line = csv.reader(file), 1
            try:
                for cells in reader:
                    if cells:
                        yield line, cells
                    line = reader.line_num + 1
            except csv.Error as fault:
                raise self.broken(f"line {line}: {fault}") from None

    def line(self, row: int) -> int | None:
        return next(islice(self._records(), row + 1, None), (None, []))[0]

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        import pyarrow as pa
        from pyarrow import csv as arrow

        types, row = arrow_types(), 0
        try:
            for batch in arrow.open_csv(
                self.path,
                arrow.ReadOptions(block_size=max(BLOCK, 256 * len(self.shapes))),
                arrow.ParseOptions(newlines_in_values=True),
                arrow.ConvertOptions(
                    column_types={name: types[kind] for name, kind in kinds.items()},
                    include_columns=list(kinds),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            ):
                yield {name: to_numpy(self, row, name, batch[name], kinds[name]) for name in kinds}
                row += batch.num_rows
        except pa.ArrowInvalid as fault:
            raise self._first_bad_cell(row, kinds) or self.broken(fault) from None

    def _first_bad_cell(self, row: int, kinds: Mapping[str, Kind]) -> DataError | None:
        """Names the first cell from `row` on that Arrow refuses: its own message names no line."""
        for at, (_, cells) in enumerate(islice(self._records(), row + 1, None), row):
            if len(cells) != len(self.shapes):
                last = list(self.shapes)[min(len(cells), len(self.shapes)) - 1]
                problem = f"the row ends after {len(cells)} cells, expected {len(self.shapes)}"
                return self.fault(at, last, f"{problem}; look for a lost or an extra comma")
            for name, cell in zip(self.shapes, cells, strict=True):
                if name in kinds and cell and not _parses(cell, kinds[name]):
                    return self.fault(
                        at, name, f"found {cell!r}, expected {_EXPECTED[kinds[name]]}"
                    )
        return None


_EXPECTED = {
    "number": "a number; correct the cell",
    "integer": "a whole number of at most 64 bits (int64); correct the cell",
    "text": "UTF-8 text; correct the cell",
}


def _parses(cell: str, kind: Kind) -> bool:
    import pyarrow as pa

    try:
        pa.scalar(cell.strip()).cast(arrow_types()[kind])
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return False
    return True
