"""A loss must compare each answer with its own target."""

from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.errors import ParamsError
from pipeline.training.decision import Decision
from pipeline.training.trial.batch import Trial

ALIKE = 1e-6
"""Relative difference of two losses that count as one."""


def demand_pairs(
    trial: Trial, outputs: Mapping[str, np.ndarray], decisions: Iterable[Decision]
) -> None:
    """Raises ParamsError for a loss that does not compare each answer with its own target. One that
    is given shapes which do not fit, such as (rows, 1) and (rows,), compares each with all of them,
    and is as large for any order of the targets.

    It is asked with made-up answers, for a net may answer all rows alike before it is trained.
    """
    compared = {(each.output, each.target) for each in decisions}
    for output, target in sorted(compared):
        if target in trial.targets and outputs[output].dtype.kind == "f":
            _demand_pair(trial, outputs, output, target)


def _demand_pair(trial: Trial, outputs: Mapping[str, np.ndarray], output: str, target: str) -> None:
    truth, answer = trial.targets[target], outputs[output]
    orders = [truth, np.roll(truth, 1, axis=0), truth[::-1].copy()]
    if (orders[0] == orders[1]).all():
        return
    answers = {k: _made_up(v) if v.dtype.kind == "f" else v for k, v in outputs.items()}

    def loss_of(truth: np.ndarray) -> float:
        truths = {**trial.targets, target: truth}
        loss = trial.loss_of(answers, truths)
        assert loss is not None  # of a model that computes it there are no pairs
        return loss

    loss, *others = map(loss_of, orders)
    if any(abs(each - loss) > ALIKE * abs(loss) for each in others):
        return
    of_one_target = loss_of(np.repeat(truth[:1], len(truth), axis=0))
    if of_one_target != loss or _is_compared(trial, answers, target):
        raise ParamsError(
            f"model.loss: is as large whichever answer belongs to which target; the output "
            f"{output} has shape {_shape(answer)}, the target {_shape(truth)}: give the loss "
            "both in one shape, for instance by squeezing the answer"
        )


def _is_compared(trial: Trial, answers: Mapping[str, np.ndarray], target: str) -> bool:
    """Returns whether the loss is handed this target: one that is for metrics alone may be left
    out."""
    others = {name: array for name, array in trial.targets.items() if name != target}
    try:
        trial.loss_of(answers, others)
    except (KeyError, ValueError):
        return True
    return False


def _made_up(output: np.ndarray) -> np.ndarray:
    """Returns answers of this shape that differ, and that any loss takes: rows of probabilities."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, output.shape)
    if output.ndim > 1 and output.shape[1] > 1:
        values /= values.sum(axis=1, keepdims=True)
    return values.astype(output.dtype)


def _shape(array: np.ndarray) -> str:
    return f"(rows, {', '.join(map(str, array.shape[1:]))})".replace(" )", ")")
