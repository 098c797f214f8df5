"""What `checkpoint` recorded of rows that no data should have."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Holds, by number, what the row is, what the trained model said instead of an answer ("" where
    it answers), and the answer."""

    path: Path
    names: list[str]
    refusals: list[str]
    outputs: Mapping[str, np.ndarray]

    def answers(self, number: int) -> dict[str, np.ndarray]:
        return {name: array[number : number + 1] for name, array in self.outputs.items()}


def read(reference: Path) -> Questions | None:
    """Returns None of a checkpoint from before they were asked."""
    path = reference / "questions.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        return Questions(
            path=path,
            names=file["question"].tolist(),
            refusals=file["refusal"].tolist(),
            outputs={k.removeprefix("output."): file[k] for k in file if k.startswith("output.")},
        )
