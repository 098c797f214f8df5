"""The small one that everybody starts with."""

import numpy as np
from torch import Tensor, nn

from models.standardize import Standardize


class TorchMLP(nn.Module):
    """Raw pixels in, (rows, inputs); logits out, (rows, classes)."""

    def __init__(self, inputs: int, units: int, classes: int):
        super().__init__()
        self.standardize = Standardize(inputs)
        self.layers = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, classes))

    def adapt(self, pixels: np.ndarray) -> None:
        self.standardize.adapt(pixels)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(self.standardize(pixels))
