"""What a loss tells of an answer in one column: whether it is a probability or a logit."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.frameworks.contract import Arrays, Framework
from pipeline.training.decision import LOGIT, PROBABILITY


def threshold(
    framework: Framework[Any],
    training: Any,
    inputs: Arrays,
    outputs: Sequence[np.ndarray],
    target: np.ndarray,
) -> float | None:
    """Returns where the loss holds both of two classes for as likely, which tells a probability
    from a logit; None where the first output is not one column, or the loss tells nothing.

    A loss that weighs one class more has no such value: there, one that falls on and on beyond 0 is
    of a logit.
    """
    if outputs[0].size != len(outputs[0]):
        return None

    def loss(value: float, label: int) -> float:
        answers = [np.full_like(outputs[0], value), *outputs[1:]]
        return framework.loss_of(training, inputs, answers, np.full_like(target, label))

    for value in (PROBABILITY, LOGIT):
        if np.isclose(loss(value, 0), loss(value, 1), rtol=1e-4):
            return value
    try:
        falls = loss(-3.0, 0) < loss(-1.0, 0) < loss(0.0, 0)
    except (RuntimeError, ValueError):  # torch's takes nothing but probabilities
        return PROBABILITY
    return LOGIT if falls else None
