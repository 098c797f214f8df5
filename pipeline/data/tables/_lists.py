"""Columns of lists: a row has as many values as it has, and lists within it, too, where they are
declared to vary."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.data.lists import Lists, Template, axes_of, lists_of
from pipeline.data.tables import EMPTY, Array, Table


def shape_of(found: Any) -> tuple[int | None, ...]:
    """Returns the shape of a row of an Arrow type: () is a single value, None a varying size."""
    from pyarrow import types

    if types.is_fixed_size_list(found):
        return (found.list_size, *shape_of(found.value_type))
    if types.is_list(found) or types.is_large_list(found):
        return (None, *shape_of(found.value_type))
    return ()


def content_of(content: Any) -> Any:
    """Returns the type of the single values within lists."""
    while shape_of(content):
        content = content.value_type
    return content


def to_lists(
    table: Table, row: int, name: str, cells: Any, single: Callable[[Any], Array]
) -> Lists:
    """Returns an Arrow array of lists; `single` reads an Arrow array of single values.

    Raises DataError for a row without a value or with an empty one in it, and where lists within
    a row differ in length, or those of several rows do though that is not declared to vary.
    """
    depth = len(shape_of(cells.type))
    template = table.varying.get(name, ())
    if len(template) != depth:  # what is declared otherwise is told by its shape
        template = (None, *(0,) * (depth - 1))
    sizes, content = _sizes(table, row, name, cells, template)
    if content.null_count:
        at = content.is_null().index(True).as_py()
        raise table.fault(row + Lists(sizes, sizes).row_of(at)[0], name, EMPTY)
    values, axes = single(content), axes_of(template)
    if axes == tuple(range(len(axes))):
        lengths = sizes[:, 0] if len(axes) == 1 else sizes[:, axes]
        rest = sizes[0, len(axes) :] if len(sizes) else sizes.shape[1:]
        return Lists(values.reshape(-1, *rest), lengths)
    ends = np.cumsum(sizes.prod(axis=1))[:-1]
    rows = zip(np.split(values, ends), sizes, strict=True) if len(sizes) else ()
    return lists_of([each.reshape(size) for each, size in rows], template)


def _sizes(table: Table, row: int, name: str, cells: Any, template: Template) -> tuple[Array, Any]:
    """Returns the size of each row along each of its axes, and the single values of all of them."""
    sizes = _lengths(table, row, name, cells, None)[:, None]
    _demand_fixed(table, row, name, sizes, template)
    content = cells.flatten()
    while shape_of(content.type):
        within = Lists(sizes, sizes)
        inner = _lengths(table, row, name, content, within)
        counts = within.counts
        starts = np.minimum(np.cumsum(counts) - counts, max(0, len(inner) - 1))
        first = inner[starts] if len(inner) else np.ones(len(sizes), np.int64)
        odd = np.flatnonzero(inner != np.repeat(first, counts))
        if len(odd):
            at = within.row_of(int(odd[0]))[0]
            _raise_uneven(table, row + at, name, first[at], inner[odd[0]])
        sizes = np.column_stack([sizes, first])
        _demand_fixed(table, row, name, sizes, template)
        content = content.flatten()
    return sizes, content


def _demand_fixed(table: Table, row: int, name: str, sizes: Array, template: Template) -> None:
    """Raises DataError for the first row of another size along the last axis than those before it
    have, where that does not vary."""
    known = np.flatnonzero(sizes[:, :-1].prod(axis=1))  # the others have no lists there
    if template[sizes.shape[1] - 1] is None or not len(known):
        return
    of_rows = sizes[known, -1]
    wrong = np.flatnonzero(of_rows != of_rows[0])
    if len(wrong):
        _raise_uneven(table, row + int(known[wrong[0]]), name, of_rows[0], of_rows[wrong[0]])


def _raise_uneven(table: Table, row: int, name: str, one: int, other: int) -> None:
    sizes = f"its lists have {one} and {other} values"
    raise table.fault(row, name, f"{sizes}, expected as many in each")


def _lengths(table: Table, row: int, name: str, cells: Any, within: Lists | None) -> Array:
    """Returns the length of each list; those `within` lists are no rows of the table."""
    if cells.null_count:
        at = cells.is_null().index(True).as_py()
        raise table.fault(row + (within.row_of(at)[0] if within else at), name, EMPTY)
    sizes = np.from_dlpack(cells.value_lengths()) if len(cells) else np.empty(0)
    return sizes.astype(np.int64)
