"""How a net's answer becomes a decision: the class with the largest value, what lies above a
threshold, or the answer as it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import ParamsError

PROBABILITY, LOGIT = 0.5, 0.0
"""Thresholds of one column for two classes: where both are as likely."""
SUMS_TO_ONE = 1e-3
"""How far a row of probabilities may sum up to something else."""
Kind = Literal["argmax", "threshold", "value"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a metric makes of an output, and what it compares it with."""

    output: str
    target: str
    """Or an input."""
    kind: Kind
    classes: int | None = None
    """Of the target, where it is a label."""
    axis: int = 1
    """Of the classes, rows being 0."""
    threshold: float | None = None

    def as_mapping(self) -> dict[str, Any]:
        """Returns what schema.json says of it."""
        return dict(vars(self))

    def decide(self, answers: np.ndarray) -> np.ndarray:
        """Returns a decision for each place of the target."""
        if self.kind == "argmax":
            winners: np.ndarray = answers.argmax(axis=self.axis)
            return winners
        if self.kind == "threshold":
            return (answers > self._demand_threshold()).astype(np.int64)
        return answers

    def pairs(
        self,
        truth: np.ndarray,
        answers: np.ndarray,
        decide: Callable[[Any], Any] | None = None,
        places: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what is true and what is decided, in one shape; of labels for each place by
        itself, and those without a class, which is below 0, left out.

        `places` says of rows that differ in length where they have values; nothing else counts.
        """
        decided = np.asarray((decide or self.decide)(answers))
        if decided.size == truth.size:
            decided = decided.reshape(truth.shape)
        if places is not None and decided.shape[: places.ndim] == places.shape:
            truth, decided = truth[places], decided[places]
        if self.classes is None or decided.shape != truth.shape:
            return truth, decided
        return truth[truth >= 0], decided[truth >= 0]

    def probabilities(self, answers: np.ndarray) -> np.ndarray:
        """Returns each place's probability of class 1 where there are two classes, else of each
        class: the answer itself where it is one, its softmax or sigmoid where it is a logit."""
        values = np.asarray(answers, np.float64)
        if self.kind == "threshold":
            return values if self._demand_threshold() == PROBABILITY else _sigmoid(values)
        values = np.moveaxis(values, self.axis, -1)
        values = values.reshape(-1, values.shape[-1])
        if not _are_probabilities(values):
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            values = powers / powers.sum(axis=1, keepdims=True)
        return values[:, 1] if self.classes == 2 else values

    def _demand_threshold(self) -> float:
        if self.threshold is None:
            raise ParamsError(
                f"model.net: its output {self.output} has one column, "
                f"data.targets.{self.target}.classes is 2, and the loss does not tell whether it "
                "is a logit or a probability; expected a column a class, or a metric's decision "
                "with the threshold"
            )
        return self.threshold


def axis_of_classes(
    answer: tuple[int, ...], truth: tuple[int, ...], classes: int, key: str
) -> int | None:
    """Returns which dimension of an answer, rows being 0, its target does not have: that of the
    classes; None where there is none.

    Raises ParamsError, which names `key`, where more than one could be it.
    """
    fitting = [
        axis
        for axis in range(1, len(answer))
        if answer[axis] == classes and answer[:axis] + answer[axis + 1 :] == truth
    ]
    if len(fitting) > 1:
        raise ParamsError(
            f"{key}.axis: answers of shape {list(answer)} have their {classes} classes in any of "
            f"the dimensions {fitting}; name it"
        )
    return fitting[0] if fitting else None


def from_mapping(recorded: Mapping[str, Any]) -> Decision:
    """Returns what `as_mapping` gave."""
    return Decision(**recorded)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = np.exp(-np.logaddexp(0, -values))
    return probabilities


def _are_probabilities(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and (np.abs(values.sum(axis=1) - 1) <= SUMS_TO_ONE).all())
