"""Nets that are right, and that checks of theirs once failed."""

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    """An auxiliary head that is the largest, a branch behind a LayerScale, a mean over all batches,
    and names that are none of Python's."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(64, momentum=None)
        self.head = nn.Linear(64, 600)
        self.branch = nn.Sequential()
        self.branch.add_module("block1-0", nn.Linear(64, 64))
        self.register_buffer("scale", torch.full((64,), 1e-6))
        self.body = nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        rows = self.norm(pixels)
        if self.training:
            self.head(rows)
        return self.body(rows + self.scale * self.branch(rows))


class Alike(nn.Module):
    """Deep and normalised: after a few steps its running statistics are still those of nothing."""

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for _ in range(4):
            layers += [nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64, momentum=1e-4), nn.ReLU6()]
            nn.init.normal_(layers[-3].weight, std=0.01)
        self.body, self.out = nn.Sequential(*layers), nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.out(self.body(pixels / 16))


class Attending(nn.Module):
    """A stock encoder, and attention with a learnt mask."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 1)
        self.mask = nn.Parameter(torch.zeros(8, 8))
        self.out = nn.Linear(8, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        rows = self.body(pixels.reshape(-1, 8, 8) / 16)
        mask = self.mask.expand(rows.shape[0], 1, 8, 8)
        heads = rows.unsqueeze(1)
        rows = nn.functional.scaled_dot_product_attention(heads, heads, heads, mask).squeeze(1)
        return self.out(rows.mean(1))


class Brief(nn.Module):
    """Weights and sums in bfloat16, answers in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(64, 16).to(torch.bfloat16)
        self.out = nn.Linear(16, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.out(torch.relu(self.body((pixels / 16).to(torch.bfloat16))).float())
