"""Trains epoch by epoch; after each, a checkpoint from which the rest comes out bit for bit."""

import contextlib
import csv
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.config.params import EarlyStopping, Train, TrainParams
from pipeline.data import arrays as prepared
from pipeline.errors import Diverged, ParamsError
from pipeline.files import replacing
from pipeline.run import signals, stage
from pipeline.training import checkpoints, parts
from pipeline.training.metrics import metric, score
from pipeline.training.parts import build, seed

Row = dict[str, float]
HISTORY = "history.csv"


def train(data: Path, models: Path, output: Path, params: TrainParams) -> None:
    """Writes epoch_0001.pt and on, and history.csv; goes on from what `saved` finds there."""
    schema = prepared.schema(data)
    framework = parts.framework(params.model, params.train)
    training = build(params.model, params.train, schema, params.train.device)
    for name, config in params.train.metrics.items():
        metric(config, name)  # what is wrong with one is told now, not after an epoch
    before = parts.epochs_before(params.train)
    inputs, target = prepared.split(data, "train")
    history = resume(framework, training, output)
    if not history:
        adapt(framework, training, inputs)
    while len(history) < params.train.epochs and not _stops(history, params.train.early_stopping):
        epoch = len(history) + 1
        batches = order(params.train, before + epoch, len(target))
        losses = checkpoints.load_within(framework, training, output, epoch)
        if not losses:
            framework.seed(seed(params.train.seed, before + epoch), training)
        with signals.deferred() as pending:
            with _progress(params.train.epochs, len(batches), losses, history) as progress:
                for loss in steps(framework, training, inputs, target, batches, losses):
                    progress(loss)
                    if pending:
                        checkpoints.save_within(framework, training, output, epoch, losses)
                        pending.raise_if_set()
            row = {"epoch": epoch, "train/loss": mean(losses, batches)}
            row |= validate(framework, training, data, params.train, schema["target"]["classes"])
            _demand_finite(row)
            write_history(output / HISTORY, [*history, row])
            checkpoints.save_epoch(framework, training, output, epoch)
            history.append(row)
            _report(row, params.train.epochs)
            pending.raise_if_set()


def steps(
    framework: ModuleType,
    training: Any,
    inputs: Mapping[str, np.ndarray],
    target: np.ndarray,
    batches: Sequence[np.ndarray],
    losses: list[Any],
) -> Iterator[Any]:
    """An epoch: a step for each array of row numbers, but for those whose `losses` are given; the
    loss of each is yielded after it and added to them."""
    for rows in batches[len(losses) :]:
        losses.append(framework.step(training, inputs, target, rows))
        yield losses[-1]
    framework.end_epoch(training)


def mean(losses: Iterable[Any], batches: Iterable[np.ndarray]) -> float:
    """Over all rows."""
    sizes = [len(rows) for rows in batches]
    every = zip(losses, sizes, strict=True)
    return sum(float(loss) * size for loss, size in every) / sum(sizes)


def adapt(framework: ModuleType, training: Any, inputs: dict[str, np.ndarray]) -> None:
    """Fits the model's preprocessing. Raises ParamsError."""
    try:
        framework.adapt(training, inputs)
    except ValueError as fault:
        raise ParamsError(f"model.net: {' '.join(str(fault).split())}") from None


def resume(framework: ModuleType, training: Any, output: Path) -> list[Row]:
    """Loads the last whole checkpoint in `output`, if there is one; the history up to it."""
    epoch = checkpoints.last_epoch(framework, output)
    if not epoch:
        return []
    framework.load(training, checkpoints.epoch_file(framework, output, epoch))
    print(f"going on after epoch {epoch}", flush=True)
    return read_history(output / HISTORY)[:epoch]


def order(train: Train, epoch: int, rows: int) -> list[np.ndarray]:
    """Row numbers a step: a function of seed and epoch alone.

    A single row left over joins the step before it, because batch norm cannot train on one row.
    """
    shuffled = np.random.default_rng([train.seed, epoch]).permutation(rows)
    cuts = list(range(train.batch_size, rows, train.batch_size))
    if cuts and rows - cuts[-1] == 1 and train.batch_size > 1:
        cuts.pop()
    return np.split(shuffled, cuts)


def validate(
    framework: ModuleType, training: Any, data: Path, train: Train, classes: int | None
) -> Row:
    inputs, target = prepared.split(data, "val")
    outputs, loss = framework.predict(training, inputs, target, max(256, train.batch_size))
    if not math.isfinite(loss):
        return {"val/loss": loss}
    scores = score(train.metrics, target, outputs[0], classes)
    return {"val/loss": loss, **{f"val/{name}": value for name, value in scores.items()}}


def best(history: list[Row], metric: str, mode: str, key: str) -> int:
    """The epoch with the best value, the earliest of equals. Raises ParamsError for no column."""
    if metric not in history[0]:
        known = ", ".join(name for name in history[0] if name != "epoch")
        raise ParamsError(f"{key}: found {metric}, expected a metric of history.csv: {known}")
    values = [row[metric] for row in history]
    return values.index(max(values) if mode == "max" else min(values)) + 1


def _stops(history: list[Row], early: EarlyStopping | None) -> bool:
    if early is None or not history:
        return False
    winner = best(history, early.metric, early.mode, "train.early_stopping.metric")
    return len(history) - winner >= early.patience


def _demand_finite(row: Row) -> None:
    for name, value in row.items():
        if not math.isfinite(value):
            raise Diverged(
                f"epoch {row['epoch']:.0f}: {name} is {value}; nothing is exported. "
                "Lower train.lr, set train.clip_norm, or look at the data's range"
            )


def read_history(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def write_history(path: Path, history: list[Row]) -> None:
    """Shortest decimals that read back as the same floats."""
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)


@contextlib.contextmanager
def _progress(
    epochs: int, steps: int, losses: list[Any], history: list[Row]
) -> Iterator[Callable[[Any], None]]:
    """A bar with the step's loss and the last epoch's values on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda loss: None
        return
    from tqdm import tqdm

    last = {k: f"{v:.4f}" for k, v in history[-1].items() if k != "epoch"} if history else {}
    name = f"epoch {len(history) + 1}/{epochs}"
    shown: dict[str, Any] = {"total": steps, "initial": len(losses), "desc": name, "unit": "step"}
    with tqdm(**shown, leave=False, postfix=last) as bar:

        def advance(loss: Any) -> None:
            bar.set_postfix(last | {"loss": f"{float(loss):.4f}"}, refresh=False)
            bar.update()

        yield advance


def _report(row: Row, epochs: int) -> None:
    values = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
    print(f"epoch {row['epoch']:.0f}/{epochs}  {values}", flush=True)


if __name__ == "__main__":
    stage.main(train, resumes=True)
