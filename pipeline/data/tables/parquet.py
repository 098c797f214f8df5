"""The reader of .parquet, which decodes page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.data.tables import BATCH, Batch, Kind, Table
from pipeline.data.tables._arrow import to_numpy


class Reader(Table):
    """A Parquet file has flat columns; a decimal is read as float64, a boolean as 0 or 1."""

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

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        import pyarrow as pa

        row, rows = 0, max(1, BATCH // (8 * len(kinds)))
        with self._open() as file:
            casts = {name: self._cast(file.schema_arrow.field(name), kinds[name]) for name in kinds}
            try:
                for batch in file.iter_batches(batch_size=rows, columns=list(kinds)):
                    columns = {name: batch[name].cast(casts[name]) for name in kinds}
                    yield {n: to_numpy(self, row, n, columns[n], kinds[n]) for n in kinds}
                    row += batch.num_rows
            except (pa.ArrowInvalid, OSError) as fault:
                raise self.broken(f"unreadable after row {row}: {fault}") from None

    def _cast(self, field: Any, kind: Kind) -> Any:
        """Returns the Arrow type in which a column is handed on."""
        from pyarrow import float64, types

        if types.is_decimal(field.type):
            return float64()
        number = types.is_integer, types.is_floating, types.is_boolean
        if kind == "text" or any(test(field.type) for test in number):
            return field.type
        raise self.broken(f"column {field.name!r}: found {field.type}, expected numbers")
