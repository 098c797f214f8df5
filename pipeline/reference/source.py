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
    """A trained model with the names of its outputs."""

    framework: TrainingModule[Any]
    training: Any
    outputs: list[str]
    refusals: tuple[type[Exception], ...]
    """What it raises on rows that it does not take."""

    def answers(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Returns the outputs by name. Raises ParamsError where their number is not the names'."""
        rows = len(next(iter(inputs.values())))
        arrays, _ = self.framework.predict(self.training, inputs, None, rows)
        if len(arrays) != len(self.outputs):
            raise ParamsError(
                f"model.outputs: found {len(self.outputs)} names, "
                f"but the net returns {len(arrays)} arrays; name each"
            )
        for name, array in zip(self.outputs, arrays, strict=True):
            if array.dtype.kind not in KINDS:
                raise ParamsError(
                    f"model.outputs: found {name} in {array.dtype}, which numpy lacks; "
                    "cast it to float32 in the model"
                )
        return dict(zip(self.outputs, arrays, strict=True))

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
    """Whether all floating answers are."""
    return all(np.isfinite(each).all() for each in answers.values() if each.dtype.kind in "fc")


def rows_of(inputs: Mapping[str, np.ndarray], rows: Any) -> Arrays:
    """Returns these rows of every input."""
    return {name: array[rows] for name, array in inputs.items()}
