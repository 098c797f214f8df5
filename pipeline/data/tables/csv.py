"""The reader of .csv."""

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from pipeline.data.tables import EXACT, NO_LABEL, Array, Batch, Kind, Table
from pipeline.data.tables._arrow import arrow_types, to_numpy
from pipeline.errors import DataError

BLOCK = 1 << 18
"""Bytes; Arrow reads 32 blocks ahead."""
LARGEST_CELL = 2**31 - 1
"""Characters; Python's own limit is 131,072, Arrow has none."""
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
WHOLE = re.compile(r"\s*[-+]?[0-9]+\s*")


class Reader(Table):
    """A CSV is comma-separated UTF-8 with a header line; empty lines are no rows."""

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        line, header = next(self._records(), (1, []))
        if not header:
            raise self.broken("empty, expected a header line and rows below it")
        self._demand_utf8(line, header)
        if len(header) == 1:
            for separator, name in SEPARATORS.items():
                if separator in header[0]:
                    problem = f"found {name} between the names, {header[0]!r}, expected commas"
                    raise self.broken(f"line {line}: {problem}; save it with commas")
        return self._cells(header)

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        """Refuses nothing: what a cell is shows when it is read."""

    def _demand_utf8(self, line: int, header: list[str]) -> None:
        text = ",".join(header)
        if "\0" in text or text.startswith(("\udcff\udcfe", "\udcfe\udcff")):
            raise self.broken(f"line {line}: not UTF-8 but UTF-16: save it as UTF-8")
        if byte := _no_utf8(text):
            raise self.broken(f"line {line}: not UTF-8, found the byte {byte}: save it as UTF-8")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yields each record with the number of its first line: slow, for the header and faults."""
        csv.field_size_limit(LARGEST_CELL)
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

        types, row = arrow_types(), 0
        as_texts = None
        try:
            for index, batch in enumerate(self._stream({n: types[kinds[n]] for n in kinds})):
                columns: Batch = {n: to_numpy(self, row, n, batch[n], kinds[n]) for n in kinds}
                large = [n for n in kinds if kinds[n] == "number" and _beyond_exact(columns[n])]
                if large:
                    if as_texts is None:
                        as_texts = enumerate(self._stream(dict.fromkeys(kinds, pa.string())))
                    texts = next(each for at, each in as_texts if at == index)
                    columns |= {n: _as_written(columns[n], texts[n]) for n in large}
                yield columns
                row += batch.num_rows
        except pa.ArrowInvalid as fault:
            raise self._first_bad_cell(row, kinds) or self.broken(fault) from None

    def _stream(self, types: Mapping[str, Any]) -> Any:
        """Returns Arrow's reader of these columns: the same rows a batch, whatever their types."""
        from pyarrow import csv as arrow

        return arrow.open_csv(
            self.path,
            arrow.ReadOptions(block_size=max(BLOCK, 256 * len(self.shapes))),
            arrow.ParseOptions(newlines_in_values=True),
            arrow.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def _first_bad_cell(self, row: int, kinds: Mapping[str, Kind]) -> DataError | None:
        """Names the first cell from `row` on that Arrow refuses: its own message names no line."""
        for at, (_, cells) in enumerate(islice(self._records(), row + 1, None), row):
            if len(cells) != len(self.shapes):
                last = list(self.shapes)[min(len(cells), len(self.shapes)) - 1]
                problem = f"the row ends after {len(cells)} cells, expected {len(self.shapes)}"
                return self.fault(at, last, f"{problem}; look for a lost or an extra comma")
            for name, cell in zip(self.shapes, cells, strict=True):
                if name in kinds and cell and not _parses(cell, kinds[name]):
                    return self.fault(at, name, _problem(cell, kinds[name]))
        return None


_EXPECTED: dict[Kind, str] = {
    "number": "a number",
    "label": NO_LABEL,
    "integer": "a whole number of at most 64 bits (int64)",
    "text": "text",
    "id": "text",
}
_SHOWN = 60
"""Characters of a cell in a message."""


def _problem(cell: str, kind: Kind) -> str:
    """Returns what is wrong with a cell that is not read as its kind, and what to do."""
    if byte := _no_utf8(cell):
        return f"not UTF-8, found the byte {byte}, expected {_EXPECTED[kind]}: save it as UTF-8"
    shown = repr(cell) if len(cell) <= _SHOWN else f"{cell[:_SHOWN]!r}… of {len(cell)} characters"
    advice = "correct the cell"
    if kind == "label":
        return f"found {shown}, expected {_EXPECTED[kind]}"
    if cell.strip().lower() in ("true", "false"):
        advice = "write 1 for true and 0 for false"
    elif re.fullmatch(r"\s*[-+]?\d+,\d+\s*", cell):
        advice = "write a point where it has the comma"
    elif re.match(r"\s*\d{1,4}[-/.:]\d{1,2}[-/.:]\d{1,4}", cell):
        advice = "dates are not read as numbers: make a column of seconds or days of it"
    return f"found {shown}, expected {_EXPECTED[kind]}; {advice}"


def _no_utf8(text: str) -> str | None:
    """Returns the first byte that is not of UTF-8, as 0xf6; the reader hides it in a surrogate."""
    found = next((character for character in text if "\udc80" <= character <= "\udcff"), None)
    return f"0x{ord(found) - 0xDC00:02x}" if found else None


def _beyond_exact(values: Array) -> bool:
    return bool(len(values) and np.abs(values).max() >= EXACT)


def _as_written(values: Array, texts: Any) -> Array:
    """Returns objects: the integers that were written in digits, and floats."""
    exact = np.empty(len(values), object)
    written = zip(values.tolist(), texts.to_pylist(), strict=True)
    exact[:] = [int(text) if WHOLE.fullmatch(text) else value for value, text in written]
    return exact


def _parses(cell: str, kind: Kind) -> bool:
    import pyarrow as pa

    try:
        pa.scalar(cell.strip()).cast(arrow_types()[kind])
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return False
    return True
