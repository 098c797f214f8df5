"""The output of `prepare` is read row by row, or a few rows at a time: memory holds no split."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipeline.config import earlier
from pipeline.data import ragged
from pipeline.data.on_disk import open_rows, rows_of_the_ends

Arrays = dict[str, np.ndarray]


def schema(directory: Path) -> dict[str, Any]:
    """Returns inputs and targets by name with dtype and row shape, and the rows of each split."""
    content: dict[str, Any] = json.loads((directory / "schema.json").read_text())
    return earlier.schema(content)


def split(directory: Path, name: str) -> tuple[Arrays, Arrays]:
    """Returns the inputs, in the order of the model's call, and the targets; rows first."""
    described = schema(directory)
    older = directory / name / "target.npy"

    def read(kind: str) -> Arrays:
        return {
            key: _read(directory / name, kind, key, entry) for key, entry in described[kind].items()
        }

    if older.is_file():  # from before targets had names
        return read("inputs"), {"target": np.load(older, mmap_mode="r")}
    return read("inputs"), read("targets")


def _read(folder: Path, kind: str, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    """Returns an array, mapped; one whose rows differ in length has what is asked of arrays here:
    `len`, `shape`, `dtype`, and rows by number or slice, which are a dense array."""
    if any(not isinstance(size, int) for size in entry.get("shape", ())):
        return cast(np.ndarray, ragged.read(folder, kind, name, entry, open_rows))
    return open_rows(folder / kind / f"{name}.npy")


def rows_of(arrays: Mapping[str, np.ndarray], rows: Any) -> Arrays:
    """Returns these rows of each, in memory."""
    return {name: np.array(array[rows]) for name, array in arrays.items()}


def count(arrays: Mapping[str, np.ndarray]) -> int:
    """Returns how many rows they have."""
    return len(next(iter(arrays.values())))


def varies(array: Any) -> bool:
    """Returns whether the rows of an array differ in length."""
    return isinstance(array, ragged.Ragged | ragged.Mask)


def places_of(arrays: Mapping[str, Any], rows: Any) -> dict[str, np.ndarray]:
    """Returns of each array whose rows differ in size where these rows have values, as they are
    padded: (rows, longest), or (rows, highest, widest); the axes behind the last that varies are
    left out."""
    varying = {name: array for name, array in arrays.items() if isinstance(array, ragged.Ragged)}
    return {name: array.places(rows) for name, array in varying.items()}


def is_mask(array: Any) -> bool:
    """Returns whether an array says of rows that differ in length where they have values."""
    return isinstance(array, ragged.Mask)


def head(array: Any, rows: int) -> Any:
    """Returns the first rows of an array, of the same kind."""
    return array.head(rows) if varies(array) else array[:rows]


def values(array: Any) -> np.ndarray:
    """Returns an array's values: of one whose rows differ in length those of all its rows, one
    after the other."""
    return cast(np.ndarray, array.values if varies(array) else array)


def spread(array: Any, values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Returns rows of an array that varies, as large as those of a batch `like` them, each of the
    same values in every place."""
    return cast(np.ndarray, array.spread(values, like))


def longest(array: Any, rows: Any) -> tuple[int, ...]:
    """Returns how large a batch of these rows of an array that varies is, from its first axis
    behind the rows to the last that varies."""
    return cast(tuple[int, ...], array.longest(rows))


def rows_at_the_ends(array: Any) -> set[int]:
    """Returns the rows that have the least and the greatest value, if there are values."""
    if is_mask(array) or not values(array).size:
        return set()
    ends = rows_of_the_ends(values(array))
    return {array.row_of(position) for position in ends} if varies(array) else set(ends)
