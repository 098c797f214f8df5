"""How a net's answer becomes a label: the largest column's, or of one column what lies above a
threshold."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import ParamsError

PROBABILITY, LOGIT = 0.5, 0.0
"""Thresholds of one column for two classes: where both are as likely."""
SUMS_TO_ONE = 1e-3
"""How far a row of probabilities may sum up to something else."""


@dataclass(frozen=True)
class Decision:
    """What metrics make of the first output."""

    classes: int | None
    """None for regression."""
    threshold: float | None = None
    """Of one column for two classes."""

    def labels(self, output: np.ndarray) -> np.ndarray:
        """Returns the label of each row, or for regression its value."""
        if self.classes is None:
            return output.reshape(len(output), -1).squeeze(1)
        if self._has_one_column(output):
            return (output.reshape(len(output)) > self._demand_threshold()).astype(np.int64)
        winners: np.ndarray = output.argmax(axis=1)
        return winners

    def probabilities(self, output: np.ndarray) -> np.ndarray:
        """Returns a row's probability of class 1 where there are two classes, else of each class:
        the output itself where it is one, its softmax or sigmoid where it is a logit."""
        values = np.asarray(output, np.float64)
        if self._has_one_column(output):
            column = values.reshape(len(values))
            return column if self._demand_threshold() == PROBABILITY else _sigmoid(column)
        if not _are_probabilities(values):
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            values = powers / powers.sum(axis=1, keepdims=True)
        return values[:, 1] if self.classes == 2 else values

    def _has_one_column(self, output: np.ndarray) -> bool:
        return self.classes == 2 and output.size == len(output)

    def _demand_threshold(self) -> float:
        if self.threshold is None:
            raise ParamsError(
                "model.net: its first output has one column, data.target.classes is 2, and the "
                "loss does not tell whether it is a logit or a probability; expected a column a "
                "class"
            )
        return self.threshold


def _sigmoid(values: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = np.exp(-np.logaddexp(0, -values))
    return probabilities


def _are_probabilities(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and (np.abs(values.sum(axis=1) - 1) <= SUMS_TO_ONE).all())
