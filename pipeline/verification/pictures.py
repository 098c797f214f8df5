"""The page of verify shows how the model was trained, where it errs, and some rows."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.html import charts, number
from pipeline.training.history import HISTORY, read_curves

PREDICTIONS = "predictions.csv"
DRAWN = 1000
"""Points of a scatter; of more rows every second, third, … is drawn."""
CLASSES = 30
"""Of more classes the mistakes are listed, and no matrix is drawn."""
READABLE = 16
"""Up to so many classes the matrix has its counts written into it."""
MISTAKES = 10
FIRST, WORST = 4, 4
"""So many of the first rows are shown, and of those that were answered worst."""
COLUMNS = 12
"""Inputs of which a row shows the values."""
SHOWN = 6
"""Numbers of a longer array."""
LONGEST = 60
"""Characters of a text."""
SIDE = 32
"""Cells of a raster in a row, at most."""
DRAWN_FROM = 16
"""Numbers of an array that is drawn, too."""


class Raster(NamedTuple):
    """An array of numbers, as brightness."""

    shades: list[charts.Shade]
    width: int
    height: int


class Value(NamedTuple):
    """An input of one row as text, and drawn where it is an array of many measured numbers."""

    text: str
    raster: Raster | None = None


class Example(NamedTuple):
    """A row of the test split."""

    row: int
    inputs: Sequence[Value]
    actual: str
    answered: str
    right: bool | None
    """None where answers are values, which are never quite right."""


def pictures(checkpoint: Path, data: Path) -> dict[str, Any]:
    """Returns what the page draws; nothing of what a checkpoint that is older does not have."""
    schema = prepared.schema(checkpoint)
    shown = schema["predictions"] or {}
    classes = shown.get("classes")
    names = schema["targets"][shown["target"]]["labels"] if classes else None
    curves = read_curves(checkpoint / HISTORY) if (checkpoint / HISTORY).is_file() else {}
    pairs = _pairs(checkpoint / PREDICTIONS, names)
    labels = [(int(actual), int(answered)) for actual, answered in pairs] if classes else []
    size = max([classes or 0, *(1 + label for pair in labels for label in pair)])
    return {
        "curves": charts.learning_curves({"": curves}, {"": schema["epoch"]}) if curves else [],
        "matrix": charts.matrix(labels) if labels and size <= CLASSES else [],
        "classes": size,
        "names": names,
        "written": size <= READABLE,
        "mistakes": mistakes(labels) if size > CLASSES else [],
        "regression": _regression(pairs) if pairs and not classes else [],
        "drawn": len(_thinned(pairs)),
        "rows": len(pairs),
        **_examples(data, pairs, bool(classes), names),
    }


def _pairs(path: Path, names: Sequence[str] | None) -> list[tuple[float, float]]:
    """Returns (actual, answered) of the test split, row by row; of a class its number."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        cells = [(row["actual"], row["predicted"]) for row in csv.DictReader(file)]
    value: Callable[[str], float] = names.index if names else float
    return [(value(actual), value(answered)) for actual, answered in cells]


def mistakes(labels: Sequence[tuple[int, int]]) -> list[charts.MatrixCell]:
    """Returns the cells off the diagonal that hold most rows."""
    wrong = [cell for cell in charts.matrix(labels) if cell.row != cell.column]
    return sorted(wrong, key=lambda cell: -cell.times)[:MISTAKES]


def _regression(pairs: Sequence[tuple[float, float]]) -> list[charts.Panel]:
    drawn = _thinned(pairs)
    return [charts.scatter(drawn, "answered against actual", "actual", "answered")]


def _thinned(pairs: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    return pairs[:: max(1, math.ceil(len(pairs) / DRAWN))]


def _examples(
    data: Path, pairs: Sequence[tuple[float, float]], labels: bool, names: Sequence[str] | None
) -> dict[str, Any]:
    inputs, _ = prepared.split(data, "test")
    if not inputs or not pairs or len(pairs) != prepared.count(inputs):
        return {"columns": [], "left": 0, "examples": []}
    rows, shown = chosen_rows(pairs, labels), list(inputs)[:COLUMNS]
    columns = {name: values(np.asarray(inputs[name][rows])) for name in shown}

    def text(value: float) -> str:
        if not labels:
            return number(value)
        return names[int(value)] if names else str(int(value))

    examples = []
    for place, row in enumerate(rows):
        actual, answered = pairs[row]
        inputs_of_row = [columns[name][place] for name in shown]
        right = actual == answered if labels else None
        examples.append(Example(row, inputs_of_row, text(actual), text(answered), right))
    return {"columns": shown, "left": len(inputs) - len(shown), "examples": examples}


def chosen_rows(pairs: Sequence[tuple[float, float]], labels: bool) -> list[int]:
    """Returns the first rows, and of the others those that were answered worst; of labels, the
    first that are wrong."""
    off = [float(a != b) if labels else abs(a - b) for a, b in pairs]
    later = [row for row in range(FIRST, len(pairs)) if off[row] != 0]
    worst = sorted(later, key=lambda row: -off[row] if math.isfinite(off[row]) else -math.inf)
    return [*range(min(FIRST, len(pairs))), *sorted(worst[:WORST])]


def values(rows: np.ndarray) -> list[Value]:
    """Returns an input's values in some rows, drawn over one range of brightness."""
    if rows.dtype.kind not in "fu" or rows.ndim not in (2, 3, 4) or rows[0].size < DRAWN_FROM:
        return [Value(_text(row)) for row in rows]
    cells = [folded(row) for row in rows]
    finite = np.concatenate([each[np.isfinite(each)] for each in cells] or [np.zeros(1)])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    return [
        Value(f"{_size(row)}, {number(float(row.min()))} to {number(float(row.max()))}", drawn)
        for row, drawn in zip(rows, (_raster(each, low, high) for each in cells), strict=True)
    ]


def _raster(cells: np.ndarray, low: float, high: float) -> Raster:
    known = np.where(np.isfinite(cells), cells, low).tolist()
    return Raster(charts.raster(known, float(low), float(high)), cells.shape[1], cells.shape[0])


def folded(array: np.ndarray) -> np.ndarray:
    """Returns an array as rows of cells: a vector is folded into a square, of colors it is the
    mean, and of a large one not every cell is there."""
    if array.ndim == 3:
        array = array.mean(axis=0 if array.shape[0] < array.shape[2] else 2)
    if array.ndim == 1:
        side = math.ceil(math.sqrt(array.size))
        low = array.min()
        array = np.pad(array, (0, -array.size % side), constant_values=low).reshape(-1, side)
    every = [math.ceil(length / SIDE) for length in array.shape]
    return array[:: every[0], :: every[1]].astype(float)


def _text(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        text = array.item() if array.dtype.kind == "U" else number(array.item())
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    shown = ", ".join(_text(each) for each in array.reshape(-1)[:SHOWN])
    return shown if array.size <= SHOWN else f"{shown}, … ({_size(array)})"


def _size(array: np.ndarray) -> str:
    return f"{' × '.join(map(str, array.shape))} values"
