"""The trained model, which answers rows or refuses them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import ParamsError
from pipeline.frameworks.contract import TrainingModule

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained model."""

    framework: TrainingModule[Any]
    training: Any
    refusals: tuple[type[Exception], ...]
    """What it raises on rows that it does not take."""

    def answers(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Returns the outputs by name. Raises ParamsError for one that numpy cannot hold."""
        outputs, _ = self.framework.evaluate(self.training, inputs, None)
        for name, array in outputs.items():
            if array.dtype.kind not in KINDS:
                raise ParamsError(
                    f"model.outputs: found {name} in {array.dtype}, which numpy lacks; "
                    "cast it to float32 in the model"
                )
        return outputs

    def answers_or_refuses(self, inputs: Mapping[str, np.ndarray]) -> Arrays | str:
        """Returns the outputs by name, or in one line what the model raises instead."""
        try:
            return self.answers(inputs)
        except self.refusals as error:
            text = " ".join(str(error).split())
            return f"{type(error).__name__}: {text}"[:LONGEST].rstrip(": ")


LONGEST = 200
KINDS = "biufcUS"
"""Of numpy's types."""


def finite(answers: Mapping[str, np.ndarray]) -> bool:
    """Returns whether all floating answers are finite."""
    return all(np.isfinite(each).all() for each in answers.values() if each.dtype.kind in "fc")


def rows_of(inputs: Mapping[str, np.ndarray], rows: Any) -> Arrays:
    """Returns these rows of every input."""
    return {name: array[rows] for name, array in inputs.items()}
