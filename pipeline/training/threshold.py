"""What a loss tells of an answer in one column: whether it is a probability or a logit."""

from typing import Any

import numpy as np

from pipeline.frameworks.contract import Arrays, Framework
from pipeline.training.decision import LOGIT, PROBABILITY

ELSEWHERE = (0.25, 0.75)
"""Probabilities, and logits, at both of which no loss of two classes holds them for as likely."""


def threshold(
    framework: Framework[Any],
    training: Any,
    inputs: Arrays,
    outputs: Arrays,
    targets: Arrays,
    output: str,
    target: str,
) -> float | None:
    """Returns where the loss holds both of two classes for as likely, which tells a probability
    from a logit; None where the loss tells nothing.

    A loss that weighs one class more has no such value: there, one that falls on and on beyond 0 is
    of a logit.
    """

    def loss(value: float, label: int) -> float:
        answers = {**outputs, output: np.full_like(outputs[output], value)}
        truths = {**targets, target: np.full_like(targets[target], label)}
        result = framework.loss_of(training, inputs, answers, truths)
        return float("nan") if result is None else result

    if all(np.isclose(loss(value, 0), loss(value, 1), rtol=1e-4) for value in ELSEWHERE):
        return None  # it does not judge this output by this target
    for value in (PROBABILITY, LOGIT):
        if np.isclose(loss(value, 0), loss(value, 1), rtol=1e-4):
            return value
    try:
        falls = loss(-3.0, 0) < loss(-1.0, 0) < loss(0.0, 0)
    except (RuntimeError, ValueError):  # torch's takes nothing but probabilities
        return PROBABILITY
    return LOGIT if falls else None
