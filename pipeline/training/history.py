"""history.csv: the losses and metrics of each epoch, and which epoch is the best."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.params import Train
from pipeline.errors import ParamsError
from pipeline.files import replacing

HISTORY = "history.csv"
Row = dict[str, float]
"""An epoch's values by column; the first column is `epoch`, from 1, or 0 for what training starts
from."""


def read_history(path: Path) -> list[Row]:
    """Returns a row for each epoch, without what was not measured in it."""
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def read_curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns (epoch, value) of each column; an empty cell was not measured."""
    with path.open(newline="") as file:
        rows = [(int(row.pop("epoch")), row) for row in csv.DictReader(file)]
    columns = list(rows[0][1]) if rows else []
    return {name: [(e, float(row[name])) for e, row in rows if row[name]] for name in columns}


def write_history(path: Path, history: list[Row]) -> None:
    """Writes the shortest decimals that read back as the same floats; a cell is empty where nothing
    was measured."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)


def best_epoch(history: list[Row], metric: str, mode: str, key: str) -> int:
    """Returns the epoch with the best value, the earliest of equals; epoch 0 is that of a model
    that stayed what it was.

    Raises ParamsError that names `key`, the parameter, where no column is called `metric`.
    """
    if [row["epoch"] for row in history] == [0]:
        return 0
    measured = [row for row in history if metric in row]
    if not measured:
        columns = ", ".join(name for name in history[0] if name != "epoch")
        raise ParamsError(f"{key}: found {metric}, expected a metric of history.csv: {columns}")
    values = [row[metric] for row in measured]
    best = values.index(max(values) if mode == "max" else min(values))
    return int(measured[best]["epoch"])


def row_of(history: Sequence[Row], epoch: int) -> Row:
    """Returns the epoch's row."""
    return next(row for row in history if row["epoch"] == epoch)


def judged_here(row: Row, train: Train) -> list[str]:
    """Returns the columns of what was computed here: of a command's epoch its log says more."""
    if train.command is None:
        return [name for name in row if name != "epoch"]
    return ["val/loss", *(f"val/{name}" for name in train.metrics)]


def retained(history: Sequence[Row], keep: int | None) -> list[int]:
    """Returns the epochs whose checkpoints stay: all, or the last `keep` and, of every column, the
    one with the least and the one with the greatest value.

    So whatever metric and mode choose an epoch later, its checkpoint is there.
    """
    if keep is None or not history:
        return [*range(1, len(history) + 1)]
    best = {
        values.index(end(values)) + 1
        for name in history[0]
        if name != "epoch"
        for values in [[row[name] for row in history]]
        for end in (min, max)
    }
    return sorted(best | {*range(max(1, len(history) - keep + 1), len(history) + 1)})
