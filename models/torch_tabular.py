"""A table of numbers, of any number of columns."""

import numpy as np
from torch import Tensor, nn

from models.standardize import Standardize


class TorchTabular(nn.Module):
    """Raw numbers in, (rows, columns); logits or values out, (rows, answers), or where `answers` is
    None a number a row, (rows,)."""

    def __init__(self, columns: int, units: int, answers: int | None):
        super().__init__()
        self.standardize = Standardize(columns)
        self.layers = nn.Sequential(
            nn.Linear(columns, units), nn.ReLU(), nn.Linear(units, answers or 1)
        )
        self.is_number = answers is None

    def adapt(self, table: np.ndarray) -> None:
        self.standardize.adapt(table)

    def forward(self, table: Tensor) -> Tensor:
        outputs = self.layers(self.standardize(table))
        return outputs.squeeze(1) if self.is_number else outputs
