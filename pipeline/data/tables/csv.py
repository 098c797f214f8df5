"""The reader of .csv."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.csv_params import Csv
from pipeline.data.tables import EXACT, Array, Batch, Kind, Table, _csv_faults
from pipeline.data.tables._arrow import parses, time_type, to_numpy
from pipeline.errors import DataError

BLOCK = 1 << 18
"""Bytes; Arrow reads 32 blocks ahead."""
LARGEST_CELL = 2**31 - 1
"""Characters; Python's own limit is 131,072, Arrow has none."""
LOOKED_AT = 1000
"""Rows in which a column shows whether it has true and false, and how its times are written."""
WHOLE = re.compile(r"\s*[-+]?[0-9]+\s*")
NUMBER = re.compile(r"\s*[-+]?(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:[eE][-+]?[0-9]+)?\s*")
UTF8 = ("utf-8", "utf8", "utf-8-sig")


class Reader(Table):
    """A CSV is comma-separated UTF-8 with a header line, unless `data.csv` says otherwise; empty
    lines are no rows."""

    SEPARATOR = ","

    def __init__(self, path: Path, csv: Csv | None = None) -> None:
        written = csv or Csv()
        self.written = replace(written, separator=written.separator or self.SEPARATOR)
        self.is_utf8 = written.encoding.lower().replace("_", "-") in UTF8
        self.above = 1 if self.written.header else 0
        """Records above the first row."""
        super().__init__(path, csv)

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        records = self.records()
        line, cells = next(records, (1, []))
        if not cells:
            expected = "a header line and rows below it" if self.above else "rows"
            raise self.broken(f"empty, expected {expected}")
        following = [cells for _, cells in islice(records, 5)]
        if problem := _csv_faults.of_header(cells, following, self.written, self.is_utf8):
            raise self.broken(f"line {line}: {problem}")
        names = cells if self.above else [f"column_{at}" for at in range(1, len(cells) + 1)]
        self.first = dict(zip(names, self._first_cells(len(names)), strict=False))
        if self.above and any(NUMBER.fullmatch(self._number(cell)) for cell in cells):
            self.hint = "; where its first line has no names, set data.csv.header=false"
        return self._cells(names)

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        """Refuses nothing: what a cell is shows when it is read."""

    def order_kind(self, column: str) -> Kind:
        return "number" if parses(self._number(self.first[column]), "float64") else "time"

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yields each record with the number of its first line: slow, for header and faults."""
        csv.field_size_limit(LARGEST_CELL)
        encoding = "utf-8-sig" if self.is_utf8 else self.written.encoding
        quoting = csv.QUOTE_MINIMAL if self.written.quote else csv.QUOTE_NONE
        rules: dict[str, Any] = {"quotechar": self.written.quote, "quoting": quoting}
        with self.path.open(newline="", encoding=encoding, errors="surrogateescape") as file:
            reader, line = csv.reader(file, delimiter=self.written.separator or ",", **rules), 1
            try:
                for cells in reader:
                    if cells:
                        yield line, cells
                    line = reader.line_num + 1
            except csv.Error as fault:
                raise self.broken(f"line {line}: {fault}") from None
            except UnicodeError as fault:
                raise self._other_encoding(fault) from None

    def _other_encoding(self, fault: UnicodeError) -> DataError:
        problem = f"not {self.written.encoding}: {fault}"
        return self.broken(f"{problem}; correct data.csv.encoding")

    def line(self, row: int) -> int | None:
        return next(islice(self.records(), row + self.above, None), (None, []))[0]

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        import pyarrow as pa

        types, row = {name: self._type(name, kind) for name, kind in kinds.items()}, 0
        as_texts = None
        try:
            for index, batch in enumerate(self._stream(types)):
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
            raise self._first_bad_cell(row, kinds, types) or self.broken(fault) from None
        except UnicodeError as fault:
            raise self._other_encoding(fault) from None

    def _type(self, column: str, kind: Kind) -> Any:
        """Returns Arrow's type; a column whose first value is true or false has no other values."""
        import pyarrow as pa

        if kind == "time":
            written = self.written.time
            return time_type(self.first[column]) if written is None else _written_time(written)
        if kind in ("text", "name", "any"):
            return pa.string()
        if self.first[column].lower() in ("true", "false"):
            return pa.bool_()
        return pa.int64() if kind == "integer" else pa.float64()

    def _first_cells(self, columns: int) -> list[str]:
        """Returns each column's first value as it is written, of the first rows."""
        nothing = {"", *self.written.missing}
        first, missing = [""] * columns, set(range(columns))
        for _, cells in islice(self.records(), self.above, LOOKED_AT):
            for at in [at for at in missing if at < len(cells) and cells[at] not in nothing]:
                first[at] = cells[at].strip()
                missing.remove(at)
            if not missing:
                break
        return first

    def _stream(self, types: Mapping[str, Any]) -> Any:
        """Returns Arrow's reader of these columns: the same rows a batch, whatever their types."""
        from pyarrow import csv as arrow

        written = self.written
        return arrow.open_csv(
            self.path,
            arrow.ReadOptions(
                block_size=max(BLOCK, 256 * len(self.shapes)),
                encoding="utf8" if self.is_utf8 else written.encoding,
                column_names=None if self.above else list(self.shapes),
            ),
            arrow.ParseOptions(
                newlines_in_values=True,
                delimiter=written.separator,
                quote_char=written.quote or False,
            ),
            arrow.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                null_values=["", *written.missing],
                strings_can_be_null=True,
                decimal_point=written.decimal,
                timestamp_parsers=[written.time] if written.time else [],
            ),
        )

    def _first_bad_cell(
        self, row: int, kinds: Mapping[str, Kind], types: Mapping[str, Any]
    ) -> DataError | None:
        """Names the first cell from `row` on that Arrow refuses: its own message names no line."""
        nothing = {"", *self.written.missing}
        for at, (_, cells) in enumerate(islice(self.records(), row + self.above, None), row):
            if len(cells) != len(self.shapes):
                last = list(self.shapes)[min(len(cells), len(self.shapes)) - 1]
                problem = f"the row ends after {len(cells)} cells, expected {len(self.shapes)}"
                return self.fault(at, last, f"{problem}; look for a lost or an extra comma")
            for name, cell in zip(self.shapes, cells, strict=True):
                if name in kinds and cell not in nothing and not self._parses(cell, types[name]):
                    problem = _csv_faults.of_cell(cell, kinds[name], types[name], self.written)
                    return self.fault(at, name, problem)
        return None

    def _parses(self, cell: str, expected: Any) -> bool:
        if self.written.time and str(expected).startswith("timestamp"):
            return _csv_faults.is_time(cell, self.written.time)
        number = str(expected) == "double"
        return parses(self._number(cell) if number else cell, expected)

    def _number(self, cell: str) -> str:
        """Returns the cell as numbers are written elsewhere; what is none stays none."""
        if self.written.decimal == ".":
            return cell
        return cell.replace(".", "?").replace(",", ".")


def _written_time(written: str) -> Any:
    return time_type("2026-01-31T00:00:00Z" if "%z" in written else "")


def _beyond_exact(values: Array) -> bool:
    return bool((np.abs(values) >= EXACT).any()) if values.dtype.kind == "f" else False


def _as_written(values: Array, texts: Any) -> Array:
    """Returns objects: the integers that were written in digits, and floats."""
    exact = np.empty(len(values), object)
    written = zip(values.tolist(), texts.to_pylist(), strict=True)
    exact[:] = [int(text) if text and WHOLE.fullmatch(text) else v for v, text in written]
    return exact
