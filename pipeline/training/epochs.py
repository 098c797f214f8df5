"""An epoch: the order of its rows, its steps, its mean loss and what it reaches on validation."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.data import arrays as prepared
from pipeline.errors import ParamsError
from pipeline.frameworks.contract import TrainingModule
from pipeline.training.decision import Decision
from pipeline.training.history import Row
from pipeline.training.metrics import Scores
from pipeline.training.model_faults import translate_model_faults

AS_THEY_COME = 64
"""Losses that stay where the framework has them, for asking one of a GPU waits for it. What lies
among the batches' memory hinders that from being used again: 0.4 KB a row, measured."""


def epoch_batches(train: Train, epoch: int, rows: int) -> list[np.ndarray]:
    """Returns the row numbers of each step: a function of seed and epoch alone.

    A single row left over joins the step before it, because batch norm cannot train on one row.
    """
    shuffled = np.random.default_rng([train.seed, epoch]).permutation(rows)
    size = train.batch_size * train.accumulate
    cuts = list(range(size, rows, size))
    if cuts and rows - cuts[-1] == 1 and train.batch_size > 1:
        cuts.pop()
    return np.split(shuffled, cuts)


def steps(
    framework: TrainingModule[Any],
    training: Any,
    inputs: Mapping[str, np.ndarray],
    targets: Mapping[str, np.ndarray],
    batches: Sequence[np.ndarray],
    losses: list[Any],
) -> Iterator[Any]:
    """Takes a step for each array of row numbers, but for the first ones, whose `losses` are
    given; yields the loss of each step after it and adds it to them."""
    for rows in batches[len(losses) :]:
        with translate_model_faults(framework, f"in step {len(losses) + 1} of the epoch"):
            losses.append(framework.step(training, inputs, targets, rows))
        yield losses[-1]
        if len(losses) % AS_THEY_COME == 0:
            losses[-AS_THEY_COME:] = map(float, losses[-AS_THEY_COME:])


def end_epoch(framework: TrainingModule[Any], training: Any, val_loss: float) -> None:
    """Brings the learning rate to that of the next epoch."""
    with translate_model_faults(framework, "in ending an epoch; correct model.scheduler"):
        framework.end_epoch(training, val_loss)


def mean_loss(losses: Iterable[Any], batches: Iterable[np.ndarray]) -> float:
    """Returns the mean over all rows of the steps' losses."""
    sizes = [len(rows) for rows in batches]
    pairs = zip(losses, sizes, strict=True)
    return sum(float(loss) * size for loss, size in pairs) / sum(sizes)


def adapt(framework: TrainingModule[Any], training: Any, inputs: Mapping[str, np.ndarray]) -> None:
    """Fits the model's preprocessing. Raises ParamsError or ModelError."""
    with translate_model_faults(framework, "in adapting the model to the training rows"):
        try:
            framework.adapt(training, inputs)
        except ValueError as fault:
            raise ParamsError(f"model.net: {' '.join(str(fault).split())}") from None


def demand_answers_at_the_ends(
    framework: TrainingModule[Any], training: Any, data: Path, splits: Sequence[str]
) -> None:
    """Raises ModelError where the model does not take the least or the greatest of the whole
    numbers in these splits, an id that its table does not have for instance."""
    for name in splits:
        inputs, targets = prepared.split(data, name)
        whole = [array for array in inputs.values() if array.dtype == int]
        ends = {row for array in whole for row in prepared.rows_at_the_ends(array)}
        for row in sorted(ends):
            batch = prepared.rows_of(inputs, slice(row, row + 1))
            when = f"in row {row} of the {name} split, {_shown(batch)}"
            with translate_model_faults(framework, when):
                framework.evaluate(training, batch, prepared.rows_of(targets, slice(row, row + 1)))


def _shown(batch: Mapping[str, np.ndarray]) -> str:
    ends = {k: (a.min(), a.max()) for k, a in batch.items() if a.dtype == int}
    return ", ".join(f"whose {name} is {low} to {high}" for name, (low, high) in ends.items())


Judged = tuple[prepared.Arrays, dict[str, np.ndarray], prepared.Arrays, float]
"""What is true, the outputs, where what is true has values, and the loss of a batch."""
LEAST_JUDGED = 256
"""Rows that are judged at once, where a step has no more."""


def batches_of(
    framework: TrainingModule[Any],
    training: Any,
    data: Path,
    split: str,
    batch_size: int,
) -> Iterator[Judged]:
    """Yields what is true (targets and inputs), the outputs, where what is true has values, and the
    loss of one batch of a split after the other, in its order."""
    inputs, targets = prepared.split(data, split)
    for start in range(0, prepared.count(inputs), batch_size):
        rows = slice(start, start + batch_size)
        batch, truths = prepared.rows_of(inputs, rows), prepared.rows_of(targets, rows)
        with translate_model_faults(framework, f"in judging the {split} split"):
            outputs, loss = framework.evaluate(training, batch, truths)
        yield {**batch, **truths}, outputs, prepared.places_of({**inputs, **targets}, rows), loss


def judge(
    framework: TrainingModule[Any],
    training: Any,
    data: Path,
    split: str,
    train: Train,
    decisions: Mapping[str, Decision],
    look: Callable[[prepared.Arrays, dict[str, np.ndarray]], None] = lambda truths, outputs: None,
) -> Row:
    """Returns <split>/loss, where there is one, and <split>/<metric>; a loss that is not finite
    stands alone. Each batch is shown to `look`."""
    batches = batches_of(framework, training, data, split, judging_size(train))
    return judged(framework.TRAINS, batches, split, train, decisions, look)


def judging_size(train: Train) -> int:
    """Returns the rows that are judged at once."""
    return max(LEAST_JUDGED, train.batch_size)


def judged(
    trains: bool,
    batches: Iterable[Judged],
    split: str,
    train: Train,
    decisions: Mapping[str, Decision],
    look: Callable[[prepared.Arrays, dict[str, np.ndarray]], None] = lambda truths, outputs: None,
) -> Row:
    """Returns what `judge` does, of batches that were answered."""
    scores, total, count = Scores(train.metrics, decisions), 0.0, 0
    for truths, outputs, places, loss in batches:
        rows = prepared.count(truths)
        total, count = total + loss * rows, count + rows
        if trains and not math.isfinite(loss):
            return {f"{split}/loss": loss}
        scores.add(truths, outputs, places)
        look(truths, outputs)
    values = {f"{split}/{name}": value for name, value in scores.values().items()}
    return {f"{split}/loss": total / count, **values} if trains else values
