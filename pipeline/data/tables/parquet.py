"""Parquet, decoded page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.data.tables import BATCH, Batch, Kind, Table
from pipeline.data.tables._arrow import plain


class Reader(Table):
    """Flat columns; a decimal counts as a float64 number, a boolean as 0 or 1."""

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        try:  # either default would hold a whole row group's columns
            return parquet.ParquetFile(self.path, buffer_size=1 << 16, pre_buffer=False)
        except (pa.ArrowInvalid, OSError) as fault:
            raise self.broken(f"no Parquet file: {fault}") from None

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        with self._open() as file:
            return self._cells(file.schema_arrow.names)

    def batches(self, wanted: Mapping[str, Kind]) -> Iterator[Batch]:
        import pyarrow as pa

        row, rows = 0, max(1, BATCH // (8 * len(wanted)))
        with self._open() as file:
            casts = {
                name: self._cast(file.schema_arrow.field(name), wanted[name]) for name in wanted
            }
            try:
                for batch in file.iter_batches(batch_size=rows, columns=list(wanted)):
                    columns = {name: batch[name].cast(casts[name]) for name in wanted}
                    yield {n: plain(self, row, n, columns[n], wanted[n]) for n in wanted}
                    row += batch.num_rows
            except (pa.ArrowInvalid, OSError) as fault:
                raise self.broken(f"unreadable after row {row}: {fault}") from None

    def _cast(self, field: Any, kind: Kind) -> Any:
        """The Arrow type in which a column is handed on."""
        from pyarrow import float64, types

        if types.is_decimal(field.type):
            return float64()
        number = types.is_integer, types.is_floating, types.is_boolean
        if kind == "text" or any(test(field.type) for test in number):
            return field.type
        raise self.broken(f"column {field.name!r}: found {field.type}, expected numbers")
