"""Dimensions that vary from row to row: declared with their bounds, and the same wherever a row has
them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipeline.config.data_params import Data, Input, Target
from pipeline.data.array_spec import ArraySpec
from pipeline.data.columns import array_batches
from pipeline.data.progress import shown
from pipeline.data.ragged import Array
from pipeline.data.tables import Batch, Table
from pipeline.errors import ParamsError

TAKEN = ("batch", "rows")
"""Names that the rows themselves go by."""


def demand_declared(data: Data) -> None:
    """Raises ParamsError for a shape with a name that is not declared, or not in the first place,
    and for a dimension that no array has."""
    for name in data.dimensions:
        if name in TAKEN or not name.isidentifier():
            raise ParamsError(f"data.dimensions.{name}: found this name, expected one like length")
    for key, entry in entries(data):
        if any(isinstance(size, str) for size in entry.shape[1:]):
            raise ParamsError(
                f"{key}.shape: found {list(entry.shape)}, expected a name in the first place alone"
            )
        if entry.dimension is not None and entry.dimension not in data.dimensions:
            raise ParamsError(
                f"{key}.shape: found {entry.dimension!r}, which has no bounds; set "
                f"data.dimensions.{entry.dimension}: {{least: 1, most: …}}"
            )
    with_values = {each.dimension for _, each in entries(data) if not _masked(each)}
    for name, masked in masks(data).items():
        _demand_mask(f"data.inputs.{name}", data.inputs[name], masked, with_values)
    for name in sorted(data.dimensions.keys() - with_values):
        raise ParamsError(f"data.dimensions.{name}: no input or target has it in its shape")
    _demand_tokenized(data)


def entries(data: Data) -> Iterator[tuple[str, Input | Target]]:
    """Yields inputs and targets, each with its parameter."""
    yield from ((f"data.inputs.{name}", each) for name, each in data.inputs.items())
    yield from ((f"data.targets.{name}", each) for name, each in data.targets.items())


def masks(data: Data) -> dict[str, str]:
    """Returns the inputs that are masks, with the dimension that each is of."""
    found = {name: _masked(entry) for name, entry in data.inputs.items()}
    return {name: dimension for name, dimension in found.items() if dimension is not None}


def _masked(entry: Input | Target) -> str | None:
    return entry.masks if isinstance(entry, Input) else None


def _demand_mask(key: str, entry: Input, masked: str, known: set[str | None]) -> None:
    if masked not in known:
        raise ParamsError(f"{key}.source: no other input or target has the dimension {masked!r}")
    if entry.shape != (masked,) or entry.dtype not in ("float32", "int64", "uint8"):
        raise ParamsError(
            f"{key}: found shape {list(entry.shape)} and {entry.dtype}, expected of a mask shape "
            f"[{masked}] and float32, int64 or uint8"
        )


def _demand_tokenized(data: Data) -> None:
    for name, entry in data.inputs.items():
        fits = entry.dimension and len(entry.shape) == 1 and entry.dtype == "int64"
        if entry.tokenizer is not None and not fits:
            raise ParamsError(
                f"data.inputs.{name}: found shape {list(entry.shape)} and {entry.dtype}, expected "
                "of a tokenizer's ids shape [<dimension>] and int64"
            )


class Lengths:
    """Lengths are those of all rows, by dimension."""

    def __init__(self, table: Table, arrays: Mapping[str, ArraySpec], data: Data) -> None:
        self._table, self._arrays, self._data = table, arrays, data
        self._parts: dict[str, list[Array]] = {name: [] for name in data.dimensions}
        self._rows = 0

    @classmethod
    def of_rows(cls, table: Table, arrays: Mapping[str, ArraySpec], data: Data) -> "Lengths":
        """Returns the lengths of all rows, of which each is within its bounds."""
        varying = {key: each for key, each in arrays.items() if each.dimension is not None}
        lengths = cls(table, varying, data)
        for batch in shown(array_batches(table, varying), "measuring") if varying else ():
            lengths.add(batch)
        return lengths

    def add(self, batch: Batch) -> None:
        """Takes the next rows. Raises DataError for a row that is out of bounds, or of which two
        arrays say otherwise."""
        seen: dict[str, str] = {}
        for key, spec in self._arrays.items():
            if spec.dimension is not None:
                lengths = batch[key].lengths
                if spec.dimension not in seen:
                    self._demand_bounds(spec, lengths)
                    self._parts[spec.dimension].append(lengths)
                    seen[spec.dimension] = key
                else:
                    self._demand_same(spec, lengths, seen[spec.dimension])
        self._rows += len(next(iter(batch.values())))

    def of(self, rows: Array) -> dict[str, Array]:
        """Returns by dimension the lengths of the rows that a mask is true for."""
        return {n: np.concatenate(parts)[rows] for n, parts in self._parts.items() if parts}

    def _demand_bounds(self, spec: ArraySpec, lengths: Array) -> None:
        bounds = self._data.dimensions[str(spec.dimension)]
        wrong = np.flatnonzero((lengths < bounds.least) | (lengths > bounds.most))
        if len(wrong):
            way_out = "set its tokenizer.truncate, " if spec.encode is not None else ""
            raise self._table.fault(
                self._rows + int(wrong[0]),
                spec.columns[0],
                f"found {lengths[wrong[0]]} values, expected {bounds.least} to {bounds.most}; "
                f"{way_out}correct the row or data.dimensions.{spec.dimension}",
            )

    def _demand_same(self, spec: ArraySpec, lengths: Array, other: str) -> None:
        expected = self._parts[str(spec.dimension)][-1]
        wrong = np.flatnonzero(lengths != expected)
        if len(wrong):
            raise self._table.fault(
                self._rows + int(wrong[0]),
                spec.columns[0],
                f"found {lengths[wrong[0]]} values, expected {expected[wrong[0]]}, as {other} has: "
                f"both have the dimension {spec.dimension}; correct the row or name another",
            )


def bounds(data: Data) -> dict[str, Any]:
    """Returns what schema.json says of the dimensions; nothing where none varies."""
    found = {n: {"least": e.least, "most": e.most} for n, e in data.dimensions.items()}
    return {"dimensions": found} if found else {}


def described(entry: Input | Target, pad: Any) -> dict[str, Any]:
    """Returns what schema.json says of an entry's dimension: what it is padded with, or that it is
    a mask; nothing of one whose shape is fixed."""
    if entry.dimension is None:
        return {}
    return {"mask": True} if _masked(entry) else {"pad": pad}
