"""The target has rows of each class for each split, and something to learn."""

import sys

import numpy as np

from pipeline.config.data_params import Data
from pipeline.data.array_spec import ArraySpec
from pipeline.data.splits import SPLITS
from pipeline.data.tables import Array, Table


def demand_values(table: Table, spec: ArraySpec, found: set[float], rows: int) -> None:
    """Raises DataError for a target that is one value throughout."""
    if len(found) > 1 or rows < len(SPLITS):
        return
    value = f"class {found.pop()} alone" if spec.classes else f"{found.pop()}"
    expected = "two classes at least" if spec.classes else "values that differ"
    columns = ", ".join(map(repr, spec.columns[:3]))
    raise table.broken(
        f"column {columns}: found {value} in all {rows} rows, expected {expected}: "
        "nothing can be learned from it; add rows of another"
    )


def stratified(data: Data) -> str | None:
    """Returns the target whose classes each split gets its share of: the first that is one label a
    row; None where there is no such target."""
    labels = (name for name, each in data.targets.items() if each.number and not each.shape)
    return next(labels, None)


def demand_classes(table: Table, data: Data, labels: Array, splits: Array) -> None:
    """Prints in one line which classes are missing from which split.

    Raises DataError where train has one class alone.
    """
    name = stratified(data)
    if name is None:
        return
    target = data.targets[name]
    there = {name: np.unique(labels[splits == index]) for index, name in enumerate(SPLITS)}
    if len(there["train"]) == 1:
        only = f"found class {there['train'][0]} alone in train, expected two classes at least"
        raise table.broken(f"column {target.source!r}: {only}: nothing can be learned; add rows")
    without: dict[str, list[str]] = {}
    for label in range(target.number or 0):
        if names := [name for name, classes in there.items() if label not in classes]:
            without.setdefault(", ".join(names), []).append(str(label))
    if without:
        text = "; ".join(f"{', '.join(classes)} in {names}" for names, classes in without.items())
        line = f"column {target.source!r}: no row of class {text}"
        print(f"prepare: {table.path}: {line}", file=sys.stderr, flush=True)
