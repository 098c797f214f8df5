"""A net that learns which pictures are alike, with no label: two views of one are to be near."""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 8


class TorchContrastive(nn.Module):
    """Raw pixels (rows, 64) in; `embedding` (rows, size) of length 1 and its own `loss` out.

    The loss is NT-Xent (Chen et al., 2020) of two views, the picture and the picture moved by one
    pixel; in training both are noisy as well.
    """

    def __init__(self, units: int, size: int, noise: float, temperature: float, largest: float):
        super().__init__()
        self.noise, self.temperature, self.largest = noise, temperature, largest
        self.layers = nn.Sequential(
            nn.Linear(SIDE * SIDE, units), nn.ReLU(), nn.Linear(units, size)
        )

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        pictures = pixels / self.largest
        moved = pictures.reshape(-1, SIDE, SIDE).roll(1, dims=2).flatten(1)
        one, other = self._embed(self._noisy(pictures)), self._embed(self._noisy(moved))
        return {"embedding": self._embed(pictures), "loss": self._loss(one, other)}

    def _embed(self, pictures: Tensor) -> Tensor:
        return functional.normalize(self.layers(pictures), dim=1)

    def _noisy(self, pictures: Tensor) -> Tensor:
        return pictures + self.noise * torch.randn_like(pictures) if self.training else pictures

    def _loss(self, one: Tensor, other: Tensor) -> Tensor:
        """Each view must find its partner among all others of the batch."""
        views = torch.cat([one, other])
        near = views @ views.T / self.temperature
        near = near - 1e9 * torch.eye(views.shape[0], device=near.device)
        rows = torch.arange(one.shape[0], device=near.device)
        return functional.cross_entropy(near, torch.cat([rows + one.shape[0], rows]))
