"""A training, and the batch that it is tried on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.frameworks.contract import Framework


@dataclass(frozen=True)
class Trial:
    """A training, and the batch that it is tried on."""

    framework: Framework[Any]
    training: Any
    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    """Of those that differ in length from row to row, where they have values."""

    def answers(self) -> dict[str, np.ndarray]:
        return self.judged()[0]

    def judged(self) -> tuple[dict[str, np.ndarray], float]:
        return self.framework.evaluate(self.training, self.inputs, self.targets)

    def loss_of(
        self, outputs: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]
    ) -> float | None:
        return self.framework.loss_of(self.training, self.inputs, outputs, targets)

    def step(self) -> Any:
        rows = np.arange(prepared.count(self.inputs))
        return self.framework.step(self.training, self.inputs, self.targets, rows)
