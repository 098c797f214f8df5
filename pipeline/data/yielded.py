"""A function of data/ that yields rows is a table: data of any kind, in a few lines."""

import hashlib
import itertools
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pipeline.config.component import component
from pipeline.config.reading import Component
from pipeline.config.targets import DATA, MODELS
from pipeline.config.targets import Kind as TargetKind
from pipeline.data.lists import Lists, axes_of, lists_of
from pipeline.data.tables import BATCH, EXACT, NO_LABEL, NO_TEXT, NUMBERS, Array, Batch, Kind, Table
from pipeline.errors import DataError, ParamsError, PipelineError

Row = Mapping[str, Any]
LONGEST = 400
"""Characters of what an exception says."""


class Yielded(Table):
    """Each row has the names, shapes and kinds of the first, but for what is declared to vary in
    length. The function is called anew in every pass, and has to yield the same."""

    def __init__(self, path: Path, make: Callable[[], Any]) -> None:
        """`make` calls the function, whose module is `path`."""
        self.make = make
        self.digests: dict[tuple[tuple[str, Kind], ...], str] = {}
        """Of what a whole pass read of these columns."""
        super().__init__(path)

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        first = next(self._rows(), None)
        if first is None:
            raise self.broken("yields no row, expected some")
        self.first = {name: _as_array(value) for name, value in first.items()}
        for name, value in self.first.items():
            if value.dtype.kind not in "biufUS":
                problem = f"found {_named(first[name], value)}, expected numbers or text"
                raise self.fault(0, name, problem)
        return {name: value.shape for name, value in self.first.items()}

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        for name, kind in kinds.items():
            dtype = self.first[name].dtype
            if kind in NUMBERS and dtype.kind in "US":
                expected = NO_LABEL if kind == "label" else "numbers"
                raise self.fault(0, name, f"found text, expected {expected}")
            if kind == "text" and dtype.kind in "bf":
                raise self.fault(0, name, f"found {dtype}, {NO_TEXT}")

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        width = sum(max(8, self.first[name].nbytes) for name in kinds)
        most, row, digest = max(1, BATCH // max(1, width)), 0, hashlib.blake2b()
        rows = self._rows()
        while part := list(itertools.islice(rows, most)):
            batch = {name: self._column(row, name, kind, part) for name, kind in kinds.items()}
            for values in batch.values():
                digest.update(_bytes(values))
            yield batch
            row += len(part)
        self._demand_same(kinds, f"{row} rows, {digest.hexdigest()}")

    def _demand_same(self, kinds: Mapping[str, Kind], digest: str) -> None:
        if self.digests.setdefault(tuple(kinds.items()), digest) != digest:
            raise self.broken(
                "yields other rows when it is called again, expected the same; draw at random from "
                "a generator with a seed, and go through files and sets in a sorted order"
            )

    def _rows(self) -> Iterator[Row]:
        with _Faults(self.path, "before the first row"):
            rows = iter(self.make())
        for number in itertools.count(1):
            with _Faults(self.path, f"in row {number}"):
                row = next(rows, None)
            if row is None:
                return
            if not isinstance(row, Mapping):
                problem = f"found {type(row).__name__}, expected a dict of name and value"
                raise self.broken(f"row {number}: {problem}")
            yield row

    def _column(self, row: int, name: str, kind: Kind, part: list[Row]) -> Array | Lists:
        """Returns a column of some rows, the first of which has this number, from 0."""
        values = [self._value(row + at, name, each) for at, each in enumerate(part)]
        if name not in self.varying:
            return self._joined(row, name, kind, values, np.stack)

        def join(rows: Sequence[Array]) -> Array:
            return self._joined(row, name, kind, rows, np.concatenate)

        return lists_of(values, self.varying[name], join)

    def _joined(
        self, row: int, name: str, kind: Kind, values: Sequence[Array], join: Callable[..., Array]
    ) -> Array:
        if kind not in NUMBERS:
            return self.texts(row, name, join([value.astype(object) for value in values]))
        column = join(values)
        if column.dtype.kind == "f":
            for at, value in enumerate(values):
                if value.dtype.kind in "iu" and np.abs(value).max(initial=0) > EXACT:
                    problem = "found a whole number beyond 2**53 among fractions"
                    raise self.fault(row + at, name, f"{problem}; yield whole numbers alone")
        return column

    def _value(self, row: int, name: str, values: Row) -> Array:
        if name not in values:
            there = ", ".join(map(repr, values)) or "nothing"
            raise self.fault(row, name, f"missing, found {there}; yield it in every row")
        value, expected = _as_array(values[name]), self.first[name]
        if self._row_shape(name, value) != self._row_shape(name, expected):
            there = f"where the first row has {list(expected.shape)}"
            raise self.fault(row, name, f"found shape {list(value.shape)}, {there}")
        if _is_text(value) != _is_text(expected) or value.dtype.kind not in "biufUS":
            there = f"where the first row has {expected.dtype}"
            raise self.fault(row, name, f"found {_named(values[name], value)}, {there}")
        return value

    def _row_shape(self, name: str, value: Array) -> tuple[int | None, ...]:
        """Returns the shape that each row must have, with None for what varies."""
        template = self.varying.get(name, ())
        axes = axes_of(template) if len(template) == value.ndim else ()
        return tuple(None if axis in axes else size for axis, size in enumerate(value.shape))

    def fault(self, row: int, column: str, problem: str) -> DataError:
        return DataError(f"{self.path}: row {row + 1}, {column!r}: {problem}")


def open_function(config: Component) -> Yielded:
    """Returns the rows of the function of data/ that `config` names.

    Raises ParamsError for one that imports models/, on which the stage does not depend.
    """
    key, before = "data.rows", MODELS in sys.modules
    make = component(config, key, TargetKind(packages=(), bases=(), own=DATA))
    path = Path(DATA, str(config["_target_"]).split(".")[1]).with_suffix(".py")
    if MODELS in sys.modules and not before:
        way_out = "move what it needs to data/, for `prepare` does not depend on models/"
        raise ParamsError(f"{key}: {path} imports {MODELS}/; {way_out}")
    return Yielded(path, make)


class _Faults:
    """Whatever the function raises ends in one line: only its author knows what that can be."""

    def __init__(self, path: Path, when: str) -> None:
        self.path, self.when = path, when

    def __enter__(self) -> None:
        """Begins to watch."""

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: Any
    ) -> None:
        if isinstance(fault, Exception) and not isinstance(fault, PipelineError):
            text = " ".join(str(fault).split())[:LONGEST]
            where = _where(self.path, trace)
            raise DataError(f"{where}: {type(fault).__name__}: {text}; {self.when}") from fault


def _where(path: Path, trace: TracebackType | None) -> str:
    """Returns the last line of the user's own code that the exception went through."""
    folder = path.parent.resolve()
    frames = traceback.extract_tb(trace)
    own = [each for each in frames if Path(each.filename).resolve().parent == folder]
    return f"{path.parent / Path(own[-1].filename).name}:{own[-1].lineno}" if own else str(path)


def _as_array(value: Any) -> Array:
    """Returns the value as an array; of objects where it is none, a ragged list for instance."""
    try:
        array: Array = np.asarray(value)
    except ValueError:
        array = np.empty((), object)
    return array


def _is_text(array: Array) -> bool:
    return array.dtype.kind in "US"


def _named(value: Any, array: Array) -> str:
    if value is None:
        return "None"
    return type(value).__name__ if array.dtype == object else str(array.dtype)


def _bytes(values: Array | Lists) -> bytes:
    if isinstance(values, Lists):
        return _bytes(values.values) + values.lengths.tobytes()
    if values.dtype == object:
        return "\0".join(values.flat).encode(errors="surrogatepass")
    return values.tobytes()
