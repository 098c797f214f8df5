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
    """Raises ParamsError for a shape with a name that is not declared, and for a dimension that no
    array has."""
    for name in data.dimensions:
        if name in TAKEN or not name.isidentifier():
            raise ParamsError(f"data.dimensions.{name}: found this name, expected one like length")
    for key, entry in entries(data):
        for name in entry.dimensions:
            if name not in data.dimensions:
                raise ParamsError(
                    f"{key}.shape: found {name!r}, which has no bounds; set "
                    f"data.dimensions.{name}: {{least: 1, most: …}}"
                )
    own = [each.dimensions for _, each in entries(data) if not _masked(each)]
    with_values = {name for names in own for name in names}
    for name, masked in masks(data).items():
        _demand_mask(f"data.inputs.{name}", data.inputs[name], masked, with_values)
    for name in sorted(data.dimensions.keys() - with_values):
        raise ParamsError(f"data.dimensions.{name}: no input or target has it in its shape")
    _demand_tokenized(data)


def entries(data: Data) -> Iterator[tuple[str, Input | Target]]:
    """Yields inputs and targets, each with its parameter."""
    yield from ((f"data.inputs.{name}", each) for name, each in data.inputs.items())
    yield from ((f"data.targets.{name}", each) for name, each in data.targets.items())


def masks(data: Data) -> dict[str, tuple[str, ...]]:
    """Returns the inputs that are masks, with the dimensions that each is of."""
    return {name: entry.masks for name, entry in data.inputs.items() if entry.masks}


def _masked(entry: Input | Target) -> bool:
    return isinstance(entry, Input) and bool(entry.masks)


def _demand_mask(key: str, entry: Input, masked: tuple[str, ...], known: set[str]) -> None:
    for name in masked:
        if name not in known:
            raise ParamsError(f"{key}.source: no other input or target has the dimension {name!r}")
    if entry.shape != masked or entry.dtype not in ("float32", "int64", "uint8"):
        raise ParamsError(
            f"{key}: found shape {list(entry.shape)} and {entry.dtype}, expected of a mask shape "
            f"[{', '.join(masked)}] and float32, int64 or uint8"
        )


def _demand_tokenized(data: Data) -> None:
    for name, entry in data.inputs.items():
        fits = entry.dimensions and len(entry.shape) == 1 and entry.dtype == "int64"
        if entry.tokenizer is not None and not fits:
            raise ParamsError(
                f"data.inputs.{name}: found shape {list(entry.shape)} and {entry.dtype}, expected "
                "of a tokenizer's ids shape [<dimension>] and int64"
            )


class Lengths:
    """Lengths are the sizes of all rows, by dimension."""

    def __init__(self, table: Table, arrays: Mapping[str, ArraySpec], data: Data) -> None:
        self._table, self._arrays, self._data = table, arrays, data
        self._parts: dict[str, list[Array]] = {name: [] for name in data.dimensions}
        self._rows = 0

    @classmethod
    def of_rows(cls, table: Table, arrays: Mapping[str, ArraySpec], data: Data) -> "Lengths":
        """Returns the lengths of all rows, of which each is within its bounds."""
        varying = {key: each for key, each in arrays.items() if each.row}
        lengths = cls(table, varying, data)
        for batch in shown(array_batches(table, varying), "measuring") if varying else ():
            lengths.add(batch)
        return lengths

    def add(self, batch: Batch) -> None:
        """Takes the next rows. Raises DataError for a row that is out of bounds, or of which two
        arrays say otherwise."""
        seen: dict[str, str] = {}
        for key, spec in self._arrays.items():
            of_axes = batch[key].sizes.T if spec.row else ()
            for name, lengths in zip(spec.dimensions, of_axes, strict=True):
                if name not in seen:
                    self._demand_bounds(spec, name, lengths)
                    self._parts[name].append(lengths)
                    seen[name] = key
                else:
                    self._demand_same(spec, name, lengths, seen[name])
        self._rows += len(next(iter(batch.values())))

    def of(self, rows: Array) -> dict[str, Array]:
        """Returns by dimension the lengths of the rows that a mask is true for."""
        return {n: np.concatenate(parts)[rows] for n, parts in self._parts.items() if parts}

    def _demand_bounds(self, spec: ArraySpec, name: str, lengths: Array) -> None:
        bounds = self._data.dimensions[name]
        wrong = np.flatnonzero((lengths < bounds.least) | (lengths > bounds.most))
        if len(wrong):
            too_long = lengths[wrong[0]] > bounds.most
            way_out = "set its tokenizer.truncate, " if spec.encode and too_long else ""
            raise self._table.fault(
                self._rows + int(wrong[0]),
                spec.columns[0],
                f"found {_sized(spec, name, lengths[wrong[0]])}, expected {bounds.least} to "
                f"{bounds.most}; {way_out}correct the row or data.dimensions.{name}",
            )

    def _demand_same(self, spec: ArraySpec, name: str, lengths: Array, other: str) -> None:
        expected = self._parts[name][-1]
        wrong = np.flatnonzero(lengths != expected)
        if len(wrong):
            raise self._table.fault(
                self._rows + int(wrong[0]),
                spec.columns[0],
                f"found {_sized(spec, name, lengths[wrong[0]])}, expected {expected[wrong[0]]}, as "
                f"{other} has: both have the dimension {name}; correct the row or name another",
            )


def _sized(spec: ArraySpec, name: str, size: int) -> str:
    """Returns a size in words: 9 values, or of several dimensions a height of 9."""
    return f"{size} values" if len(spec.dimensions) == 1 else f"a {name} of {size}"


def bounds(data: Data) -> dict[str, Any]:
    """Returns what schema.json says of the dimensions; nothing where none varies."""
    dimensions = {n: {"least": e.least, "most": e.most} for n, e in data.dimensions.items()}
    return {"dimensions": dimensions} if dimensions else {}


def described(entry: Input | Target, pad: Any) -> dict[str, Any]:
    """Returns what schema.json says of an entry that varies: what it is padded with, or that it is
    a mask; nothing of one whose shape is fixed."""
    if not entry.dimensions:
        return {}
    return {"mask": True} if _masked(entry) else {"pad": pad}
