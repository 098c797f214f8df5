"""A net that learns from its inputs alone: it says again what it was told, through few numbers."""

from torch import Tensor, nn


class TorchAutoencoder(nn.Module):
    """Raw pixels (rows, inputs) in; `reconstruction` of them and `code` (rows, size) out."""

    def __init__(self, inputs: int, units: int, size: int, largest: float):
        super().__init__()
        self.largest = largest
        self.encoder = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, size))
        self.decoder = nn.Sequential(nn.Linear(size, units), nn.ReLU(), nn.Linear(units, inputs))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(pixels / self.largest)
        return self.decoder(code).sigmoid() * self.largest, code
