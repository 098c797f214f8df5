"""The reader of .parquet, which decodes page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.data.tables import BATCH, NO_DATE, NO_LABEL, NO_TEXT, NO_TIME, Batch, Kind, Table
from pipeline.data.tables._arrow import to_numpy
from pipeline.data.tables._lists import content_of, shape_of


class Reader(Table):
    """A Parquet file has columns of single values and of lists; a boolean is read as 0 or 1."""

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        try:  # either default would hold a whole row group's columns
            return parquet.ParquetFile(self.path, buffer_size=1 << 16, pre_buffer=False)
        except (pa.ArrowInvalid, OSError) as fault:
            raise self.broken(f"no Parquet file: {fault}") from None

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        with self._open() as file:
            cells = self._cells(file.schema_arrow.names)
            return {name: shape_of(file.schema_arrow.field(name).type) for name in cells}

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        import pyarrow as pa

        row, rows = 0, max(1, BATCH // (8 * len(kinds)))
        with self._open() as file:
            try:
                for batch in file.iter_batches(batch_size=rows, columns=list(kinds)):
                    yield {n: to_numpy(self, row, n, batch[n], kinds[n]) for n in kinds}
                    row += batch.num_rows
            except (pa.ArrowInvalid, OSError) as fault:
                raise self.broken(f"unreadable after row {row}: {fault}") from None

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        with self._open() as file:
            for name, kind in kinds.items():
                kind_of_column = file.schema_arrow.field(name).type
                if fault := None if kind == "any" else _fault(kind_of_column, kind):
                    raise self.broken(f"column {name!r}: found {_text(kind_of_column)}, {fault}")

    def order_kind(self, column: str) -> Kind:
        from pyarrow import types

        with self._open() as file:
            column_type = file.schema_arrow.field(column).type
        numbers = types.is_integer, types.is_floating, types.is_boolean, types.is_decimal
        return "number" if any(test(column_type) for test in numbers) else "time"


def _fault(content_type: Any, kind: Kind) -> str | None:
    """Returns why a column of this Arrow type is not read as the kind, and what to do."""
    from pyarrow import types

    if kind != "name":
        content_type = content_of(content_type)
    content = content_type.value_type if types.is_dictionary(content_type) else content_type
    is_text = types.is_string, types.is_large_string, types.is_string_view
    is_bytes = types.is_binary, types.is_large_binary, types.is_fixed_size_binary
    is_number = types.is_integer, types.is_floating, types.is_boolean, types.is_decimal
    if types.is_nested(content):
        what = "lists" if _is_list(content) else "structs"
        return f"{what} are not read; make columns of it"
    if kind == "name":
        return None
    if types.is_null(content):
        return "which holds no value; fill it or leave the column out"
    texts = any(test(content) for test in (*is_text, *is_bytes))
    if kind == "text":
        return None if texts or types.is_integer(content) else NO_TEXT
    if kind == "time":
        dated = any(test(content) for test in (types.is_timestamp, types.is_date, types.is_time))
        return None if dated or any(test(content) for test in is_text) else NO_TIME
    if any(test(content) for test in is_number):
        return None
    if types.is_temporal(content):
        return NO_DATE
    return f"expected {NO_LABEL}" if kind == "label" else "expected numbers"


def _is_list(found: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
    )


def _text(found: Any) -> str:
    return f"list<{_text(found.value_type)}>" if _is_list(found) else str(found)
