"""A column of arrays is decoded from the files whose names stand in another."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.data.lists import Lists, Template, lists_of
from pipeline.data.media import Decode, Place, Undecodable, content_of
from pipeline.data.tables import Array


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of arrays, by the column that names their files."""

    source: str
    place: Place
    decode: Decode
    shape: Template
    bytes: int
    """Of one row's array, at most."""

    def array(self, name: str) -> Array:
        file = self.place.file(name)
        return self.decode(file, content_of(file, self.place))


@dataclass(frozen=True)
class Fault:
    """A fault is of one file, by its place among the names; the text says what and where."""

    at: int
    text: str


Chunk = tuple[int, Mapping[str, Array]]
"""The number of its first row, and its cells by column."""
Columns = Mapping[str, Column]
Arrays = dict[str, Array | Lists | Fault]
"""Of some rows; nothing is decoded behind a fault."""


def decoded(columns: Columns, names: Mapping[str, Array]) -> Arrays:
    """Returns the arrays of each column, whose files have these names, by source."""
    result: Arrays = {}
    for key, column in columns.items():
        result[key] = _stacked(column, names[column.source])
        if isinstance(result[key], Fault):
            break
    return result


def _stacked(column: Column, names: Array) -> Array | Lists | Fault:
    arrays: list[Array] = []
    for name in names:
        try:
            arrays.append(column.array(name))
        except Undecodable as fault:
            return Fault(len(arrays), str(fault))
    return lists_of(arrays, column.shape) if None in column.shape else np.stack(arrays)
