"""An epoch: the order of its rows, its steps, its mean loss and what it reaches on validation."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.data import arrays as prepared
from pipeline.errors import ParamsError
from pipeline.frameworks.contract import TrainingModule
from pipeline.training.decision import Decision
from pipeline.training.history import Row
from pipeline.training.metrics import score
from pipeline.training.model_faults import translate_model_faults


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
        with translate_model_faults(framework, f"in step {len(losses) + 1} of the epoch"):
            losses.append(framework.step(training, inputs, target, rows))
        yield losses[-1]


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
        inputs, target = prepared.split(data, name)
        whole = [array.reshape(len(array), -1) for array in inputs.values() if array.dtype == int]
        ends = {each for a in whole for each in (a.min(axis=1).argmin(), a.max(axis=1).argmax())}
        for row in sorted(ends):
            batch = {k: np.array(array[row : row + 1]) for k, array in inputs.items()}
            when = f"in row {row} of the {name} split, {_shown(batch)}"
            with translate_model_faults(framework, when):
                framework.predict(training, batch, np.array(target[row : row + 1]), 1)


def _shown(batch: Mapping[str, np.ndarray]) -> str:
    ends = {k: (a.min(), a.max()) for k, a in batch.items() if a.dtype == int}
    return ", ".join(f"whose {name} is {low} to {high}" for name, (low, high) in ends.items())


def validate(
    framework: TrainingModule[Any], training: Any, data: Path, train: Train, decision: Decision
) -> Row:
    """Returns val/loss and val/<metric>; a loss that is not finite stands alone."""
    inputs, target = prepared.split(data, "val")
    with translate_model_faults(framework, "in judging the validation split"):
        outputs, loss = framework.predict(training, inputs, target, max(256, train.batch_size))
    if not math.isfinite(loss):
        return {"val/loss": loss}
    scores = score(train.metrics, target, outputs[0], decision)
    return {"val/loss": loss, **{f"val/{name}": value for name, value in scores.items()}}
