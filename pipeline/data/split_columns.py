"""What a split goes by is read from the table: a column that names it, groups, times."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np

from pipeline.config.data_params import By, Data
from pipeline.config.reading import nearest
from pipeline.data import columns, target
from pipeline.data.splits import SPLITS, Facts, assign, drawn
from pipeline.data.tables import Array, Table
from pipeline.errors import ParamsError


def split_rows(table: Table, data: Data, labels: Array) -> Array:
    """Returns the split of each row, as an index into SPLITS.

    Raises DataError for a row without a split, and where there are too few rows, classes, groups or
    times for one in each; ParamsError for a fraction that is missing or would not hold.
    """
    by = data.split.by
    facts = Facts(
        named=np.concatenate(list(_named(table, by))) if by else table.named_splits(len(labels)),
        groups=_group_numbers(table, columns.groups(data)) if data.split.group else None,
        times=_times(table, data.split.time) if data.split.time else None,
    )
    _demand_fractions(table, data, facts)
    _demand_enough(table, data, labels, facts)
    parts = assign(labels, data.split, facts)
    if facts.named is not None and facts.groups is not None:
        _demand_apart(table, columns.groups(data), facts.groups, parts)
    return parts


def _named(table: Table, by: By) -> Iterator[Array]:
    """Yields the index of the split that each row names, a batch at a time."""
    values, row = {by.train: 0, by.val: 1, by.test: 2}, 0
    yield np.empty(0, np.int8)
    for batch in table.batches({by.column: "name"}):
        texts = batch[by.column]
        indices = np.array([values.get(text, -1) for text in texts], np.int8)
        if (indices < 0).any():
            at = int((indices < 0).argmax())
            problem = f"found {texts[at]!r}, expected a split; {nearest(texts[at], list(values))}"
            raise table.fault(row + at, by.column, f"{problem}; correct it or data.split.by")
        row += len(texts)
        yield indices


def _group_numbers(table: Table, names: tuple[str, ...]) -> Array:
    """Returns the number of each row's group, which hangs on its name and not on its row."""
    numbers: dict[bytes, int] = {}
    rows = []
    for batch in table.batches(dict.fromkeys(names, "name")):
        for texts in zip(*(batch[name] for name in names), strict=True):
            digest = hashlib.blake2b(json.dumps(texts).encode(), digest_size=16).digest()
            rows.append(numbers.setdefault(digest, len(numbers)))
    rank = {number: index for index, (_, number) in enumerate(sorted(numbers.items()))}
    ranks = np.array([rank[number] for number in range(len(rank))], np.int64)
    return ranks[np.array(rows, np.int64)]


def _times(table: Table, column: str) -> Array:
    """Returns what the column says of the order: dates, or numbers."""
    kind, row, times = table.order_kind(column), 0, []
    for batch in table.batches({column: kind}):
        values = batch[column]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            at = int((~np.isfinite(values)).argmax())
            raise table.fault(
                row + at, column, f"found {values[at]}, expected a time; drop the row"
            )
        row += len(values)
        times.append(values)
    return np.concatenate(times) if times else np.empty(0)


def _demand_fractions(table: Table, data: Data, facts: Facts) -> None:
    """Raises ParamsError unless exactly the splits that are drawn have a fraction, and a seed."""
    split, into = data.split, drawn(facts)
    for index, fraction in ((1, split.val), (2, split.test)):
        key = f"data.split.{SPLITS[index]}"
        if index in into and fraction is None:
            why = f", and no row of {table.path} names it" if facts.named is not None else ""
            raise ParamsError(f"{key}: missing{why}; set the fraction of rows, such as 0.2")
        if index not in into and fraction is not None:
            source = "data.split.by" if split.by else "data.file"
            problem = f"found {fraction}, but {source} names the rows of {SPLITS[index]}"
            raise ParamsError(f"{key}: {problem}; set it to null")
    if len(into) > 1 and split.seed is None and facts.times is None:
        raise ParamsError("data.split.seed: missing; rows are drawn by it, so set it to 0, say")
    if facts.named is not None and not (facts.named == 0).any():
        raise table.broken(f"column {split.by.column!r}: no row is of train" if split.by else "")


def _demand_enough(table: Table, data: Data, labels: Array, facts: Facts) -> None:
    """Raises DataError unless each split that is drawn can have a row; a group; a time; and, where
    it is drawn by classes, a row of each that occurs."""
    into = drawn(facts)
    least, why = len(into), f"one for each of {', '.join(SPLITS[index] for index in into)}"
    rows = slice(None) if facts.named is None else facts.named == 0
    if len(labels[rows]) < least:
        count = len(labels[rows])
        raise table.broken(f"found {count} rows, expected at least {least}: {why}; add rows")
    if least == 1:
        return
    for values, what, names in (
        (facts.groups, "groups", columns.groups(data)),
        (facts.times, "different times", (data.split.time,)),
    ):
        if values is not None and (count := len(np.unique(values[rows]))) < least:
            place = ", ".join(map(repr, names))
            problem = f"column {place}: found {count} {what}, expected at least {least}: {why}"
            raise table.broken(f"{problem}; add rows or split otherwise")
    label = target.stratified(data)
    if facts.groups is None and facts.times is None and label:
        _demand_classes(table, data.targets[label].source, labels[rows], least, why)


def _demand_classes(table: Table, column: object, labels: Array, least: int, why: str) -> None:
    sizes = np.bincount(labels)
    for label in np.flatnonzero((sizes > 0) & (sizes < least)):
        rows = f"column {column!r}: class {label} has {sizes[label]} rows"
        raise table.broken(f"{rows}, expected at least {least}: {why}; add rows or drop the class")


def _demand_apart(table: Table, names: tuple[str, ...], numbers: Array, parts: Array) -> None:
    """Raises DataError for a group on two sides: `by` may have torn it."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    torn = np.flatnonzero(parts != parts[first][inverse])
    if len(torn):
        row, other = int(torn[0]), int(first[inverse[torn[0]]])
        sides = f"{SPLITS[parts[row]]}, and row {other + 1} of the same group in"
        problem = f"is in {sides} {SPLITS[parts[other]]}; correct it, or what names the split"
        raise table.fault(row, ", ".join(names), problem)
