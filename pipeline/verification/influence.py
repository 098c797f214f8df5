"""What `checkpoint` recorded of weights that move the trained model's answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BATCH = "seven"
"""Its rows are those that were answered."""


@dataclass(frozen=True, kw_only=True)
class Influence:
    """Holds, by number, a weight's name, the strength of its change, and what was answered then."""

    path: Path
    weights: list[str]
    strengths: list[float]
    moved: list[float]
    """The largest distance of an answer from what it was."""
    outputs: Mapping[str, np.ndarray]
    """The number comes first, then the rows."""

    def answers(self, number: int) -> dict[str, np.ndarray]:
        return {name: array[number] for name, array in self.outputs.items()}


def read(reference: Path) -> Influence | None:
    """Returns None of a checkpoint from before such a thing was recorded."""
    path = reference / "influence.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        return Influence(
            path=path,
            weights=file["moving"].tolist(),
            strengths=file["strength"].tolist(),
            moved=file["moved"].tolist(),
            outputs={k.removeprefix("output."): file[k] for k in file if k.startswith("output.")},
        )
