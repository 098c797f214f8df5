"""An epoch: the order of its rows, its steps, its mean loss and what it reaches on validation."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.data import arrays as prepared
from pipeline.frameworks.contract import TrainingModule
from pipeline.training.history import Row
from pipeline.training.metrics import score


def epoch_batches(train: Train, epoch: int, rows: int) -> list[np.ndarray]:
    """Returns the row numbers of each step: a function of seed and epoch alone.

    A single row left over joins the step before it, because batch norm cannot train on one row.
    """
    shuffled = np.random.default_rng([train.seed, epoch]).permutation(rows)
    cuts = list(range(train.batch_size, rows, train.batch_size))
    if cuts and rows - cuts[-1] == 1 and train.batch_size > 1:
        cuts.pop()
    return np.split(shuffled, cuts)


def steps(
    framework: TrainingModule[Any],
    training: Any,
    inputs: Mapping[str, np.ndarray],
    target: np.ndarray,
    batches: Sequence[np.ndarray],
    losses: list[Any],
) -> Iterator[Any]:
    """Takes a step for each array of row numbers, but for the first ones, whose `losses` are
    given; yields the loss of each step after it and adds it to them."""
    for rows in batches[len(losses) :]:
        losses.append(framework.step(training, inputs, target, rows))
        yield losses[-1]
    framework.end_epoch(training)


def mean_loss(losses: Iterable[Any], batches: Iterable[np.ndarray]) -> float:
    """Returns the mean over all rows of the steps' losses."""
    sizes = [len(rows) for rows in batches]
    pairs = zip(losses, sizes, strict=True)
    return sum(float(loss) * size for loss, size in pairs) / sum(sizes)


def validate(
    framework: TrainingModule[Any], training: Any, data: Path, train: Train, classes: int | None
) -> Row:
    """Returns val/loss and val/<metric>; a loss that is not finite stands alone."""
    inputs, target = prepared.split(data, "val")
    outputs, loss = framework.predict(training, inputs, target, max(256, train.batch_size))
    if not math.isfinite(loss):
        return {"val/loss": loss}
    scores = score(train.metrics, target, outputs[0], classes)
    return {"val/loss": loss, **{f"val/{name}": value for name, value in scores.items()}}
