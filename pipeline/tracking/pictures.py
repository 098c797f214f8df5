"""Pictures of a run as PNG, drawn by a process of its own while MLflow starts up.

    python -m pipeline.tracking.pictures HISTORY PREDICTIONS CLASSES OUTPUT

CLASSES are the names of the classes as JSON, null for regression. No window and no global state of
matplotlib is touched.
"""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READABLE = 20
"""Up to so many classes the confusion matrix has its counts written into it, and their names."""
SHORT = 3
"""Letters of a name that stands beside others as it is."""


def draw(history: Path, predictions: Path, classes: list[str] | None, output: Path) -> None:
    """Draws what there is to see of a run; `output` is a directory that exists."""
    learning_curves(read_history(history)).savefig(output / "learning_curves.png")
    with predictions.open(newline="") as file:
        pairs = [(row["actual"], row["predicted"]) for row in csv.DictReader(file)]
    if not pairs:
        return
    if classes is not None:
        number = {name: place for place, name in enumerate(classes)}
        labels = ((number[actual], number[predicted]) for actual, predicted in pairs)
        confusion_matrix(labels, classes).savefig(output / "confusion_matrix.png")
    else:
        values = [(float(actual), float(predicted)) for actual, predicted in pairs]
        predicted_against_actual(values).savefig(output / "predicted_against_actual.png")


def read_history(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Returns (epoch, metrics) of each row; an empty cell was not measured."""
    with path.open(newline="") as file:
        return [
            (int(row.pop("epoch")), {name: float(v) for name, v in row.items() if v})
            for row in csv.DictReader(file)
        ]


def learning_curves(history: Sequence[tuple[int, Mapping[str, float]]]) -> "Figure":
    """Draws a panel for each metric, with a line for each split in its color; `history` is (epoch,
    {"val/loss": ..})."""
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(name for _, row in history for name in row))
    metrics = list(dict.fromkeys(name.rpartition("/")[2] for name in columns))
    splits = list(dict.fromkeys(name.rpartition("/")[0] for name in columns))
    figure = Figure(figsize=(5 * max(len(metrics), 1), 4), layout="constrained")
    for index, metric in enumerate(metrics, 1):
        axes = figure.add_subplot(1, len(metrics), index)
        for column in columns:
            if column.rpartition("/")[2] == metric:
                drawn = [(epoch, row[column]) for epoch, row in history if column in row]
                color = f"C{splits.index(column.rpartition('/')[0])}"
                axes.plot(*zip(*drawn, strict=True), marker=".", label=column, color=color)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_matrix(pairs: Iterable[tuple[int, int]], classes: Sequence[str]) -> "Figure":
    """Draws what is in rows and what was predicted in columns, as shares of the row; `pairs` in
    that order."""
    import numpy as np
    from matplotlib.figure import Figure

    counts = np.zeros((len(classes), len(classes)), dtype=int)
    for actual, predicted in pairs:
        counts[actual, predicted] += 1
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="actual", title="test split")
    if len(classes) <= READABLE:
        turned = 45 if max(map(len, classes)) > SHORT else 0
        axes.set_xticks(range(len(classes)), classes, rotation=turned)
        axes.set_yticks(range(len(classes)), classes)
        for row, column in np.argwhere(counts):
            _write_count(axes, row, column, counts[row, column], shares[row, column])
    return figure


def _write_count(axes: "Axes", row: int, column: int, count: int, share: float) -> None:
    color = "white" if share > 0.5 else "black"
    axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=10)


def predicted_against_actual(pairs: Iterable[tuple[float, float]]) -> "Figure":
    """Draws a regression's predictions; one on the dashed line is exact."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    actual, predicted = zip(*pairs, strict=True)
    axes.scatter(actual, predicted, s=8, alpha=0.5)
    axes.axline((actual[0], actual[0]), slope=1, color="gray", linestyle="--")
    axes.set(xlabel="actual", ylabel="predicted", title="test split")
    axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), Path(sys.argv[4]))
