"""Arrays in files of their own are a table: x.npy and y.npy are its columns x and y."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.data.on_disk import RowsOnDisk
from pipeline.data.tables import (
    BATCH,
    NO_DATE,
    NO_LABEL,
    NO_TEXT,
    NUMBERS,
    Batch,
    Kind,
    Table,
)
from pipeline.errors import DataError

NPY = ".npy"
NUMBERED = re.compile(r"(.+)[-_.](\d+)")


def grouped(paths: list[Path]) -> list[dict[str, Path]]:
    """Returns the columns of each part: x_000.npy and y_000.npy are x and y of one, and x.npy is x
    of the only one."""
    parts: dict[tuple[Path, int], dict[str, Path]] = {}
    for path in paths:
        match = NUMBERED.fullmatch(path.stem)
        name, number = match.groups() if match else (path.stem, "0")
        parts.setdefault((path.parent, int(number)), {})[name] = path
    return [parts[key] for key in sorted(parts)]


class NpyColumns(Table):
    """Each file has an array with rows along its first axis, never unpickled nor held whole."""

    def __init__(self, columns: Mapping[str, Path]) -> None:
        self.files = dict(columns)
        super().__init__(next(iter(columns.values())))

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        arrays = {name: RowsOnDisk(path) for name, path in self.files.items()}
        self.dtypes = {name: array.dtype for name, array in arrays.items()}
        self.rows = len(next(iter(arrays.values())))
        for name, array in arrays.items():
            if len(array) != self.rows:
                there = f"where {self.path.name} has {self.rows}"
                raise DataError(f"{array.path}: found {len(array)} rows, {there}")
            if array.dtype.kind not in "biufUSM":
                problem = f"found {self.dtypes[name]}, expected numbers, texts or dates"
                raise DataError(f"{array.path}: {problem}")
        return {name: array.shape[1:] for name, array in arrays.items()}

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        for name, kind in kinds.items():
            dtype = self.dtypes[name]
            if kind in NUMBERS and dtype.kind in "US":
                expected = NO_LABEL if kind == "label" else "numbers"
                raise DataError(f"{self.files[name]}: found text ({dtype}), expected {expected}")
            if kind == "text" and dtype.kind in "bfM":
                raise DataError(f"{self.files[name]}: found {dtype}, {NO_TEXT}")
            if kind in NUMBERS and dtype.kind == "M":
                raise DataError(f"{self.files[name]}: found {dtype}, {NO_DATE}")
            if kind == "time" and dtype.kind != "M":
                raise DataError(f"{self.files[name]}: found {dtype}, expected datetime64")

    def order_kind(self, column: str) -> Kind:
        return "time" if self.dtypes[column].kind == "M" else "number"

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        arrays = {name: RowsOnDisk(self.files[name]) for name in kinds}
        width = sum(array.row_bytes for array in arrays.values())
        most = max(1, BATCH // max(1, width))
        for row in range(0, self.rows, most):
            blocks = {name: array[row : row + most] for name, array in arrays.items()}
            yield {
                n: block if kinds[n] in (*NUMBERS, "time") else self.texts(row, n, block)
                for n, block in blocks.items()
            }

    def fault(self, row: int, column: str, problem: str) -> DataError:
        path = self.files.get(column.partition("[")[0], self.path)
        return DataError(f"{path}: row {row + 1}, column {column!r}: {problem}")
