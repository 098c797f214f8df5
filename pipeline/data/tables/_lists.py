"""Columns of lists: a row has as many values as it has."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.data.ragged import Lists
from pipeline.data.tables import EMPTY, Array, Table


def shape_of(found: Any) -> tuple[int | None, ...]:
    """Returns the shape of a row of an Arrow type: () is a single value, None a varying size."""
    from pyarrow import types

    if types.is_fixed_size_list(found):
        return (found.list_size, *shape_of(found.value_type))
    if types.is_list(found) or types.is_large_list(found):
        return (None, *shape_of(found.value_type))
    return ()


def content_of(found: Any) -> Any:
    """Returns the type of the single values within lists."""
    while shape_of(found):
        found = found.value_type
    return found


def to_lists(
    table: Table, row: int, name: str, cells: Any, single: Callable[[Any], Array]
) -> Lists:
    """Returns an Arrow array of lists; `single` reads an Arrow array of single values.

    Raises DataError for a row without a value or with an empty one in it, and where lists within
    a row differ in length.
    """
    outer, content = _lengths(table, row, name, cells, None), cells.flatten()
    lists, rest = Lists(np.empty(0), outer), list[int]()
    while shape_of(content.type):
        inner = _lengths(table, row, name, content, lists)
        if odd := np.flatnonzero(inner != inner[:1]).tolist():
            sizes = f"its lists have {inner[0]} and {inner[odd[0]]} values"
            at = lists.row_of(odd[0] // max(1, math.prod(rest)))[0]
            raise table.fault(row + at, name, f"{sizes}, expected as many in each")
        rest.append(int(inner[0]) if len(inner) else 1)
        content = content.flatten()
    if content.null_count:
        at = content.is_null().index(True).as_py() // max(1, math.prod(rest))
        raise table.fault(row + lists.row_of(at)[0], name, EMPTY)
    return Lists(single(content).reshape(-1, *rest), outer)


def _lengths(table: Table, row: int, name: str, cells: Any, within: Lists | None) -> Array:
    """Returns the length of each list; those `within` lists are no rows of the table."""
    if cells.null_count:
        at = cells.is_null().index(True).as_py()
        raise table.fault(row + (within.row_of(at)[0] if within else at), name, EMPTY)
    sizes = np.from_dlpack(cells.value_lengths()) if len(cells) else np.empty(0)
    return sizes.astype(np.int64)
