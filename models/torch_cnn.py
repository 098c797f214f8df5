"""Convolutions over the 8x8 digits, with a layer and a loss that no framework carries."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.standardize import Standardize

SIDE = 8


class ChannelGate(nn.Module):
    """Scales each channel by how much the whole picture calls for it.

    Squeeze and excitation (Hu et al., 2018), but the squeeze is a generalised mean whose exponent
    is learnt per channel: 1 averages, large ones take the maximum.
    """

    def __init__(self, channels: int, reduction: int = 4):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.exponent = nn.Parameter(torch.full((channels, 1, 1), 3.0))
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, maps: Tensor) -> Tensor:
        exponent = self.exponent.clamp(min=1.0)
        powers = maps.clamp(min=1e-4).pow(exponent).mean(dim=(2, 3), keepdim=True)
        pooled = powers.pow(1.0 / exponent).flatten(1)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))))
        return maps * gate[:, :, None, None]


class TorchCNN(nn.Module):
    """Raw pixels in, (rows, 64); logits out, (rows, classes). `dropout` is a probability."""

    def __init__(self, channels: int, classes: int, dropout: float):
        super().__init__()
        self.standardize = Standardize(SIDE * SIDE)
        self.features = nn.Sequential(
            *_block(1, channels, stride=1),
            *_block(channels, 2 * channels, stride=2),
            ChannelGate(2 * channels),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * channels * (SIDE // 2) ** 2, classes)

    def adapt(self, pixels: np.ndarray) -> None:
        self.standardize.adapt(pixels)

    def forward(self, pixels: Tensor) -> Tensor:
        pictures = self.standardize(pixels).reshape(-1, 1, SIDE, SIDE)
        return self.head(self.dropout(self.features(pictures).flatten(1)))


class FocalLoss(nn.Module):
    """Cross-entropy that turns to the rows not yet learnt, weighing each by (1 - p)**gamma.

    After Lin et al., 2017; p is the probability given to the true class, and no gradient flows
    through the weight. `smoothing` is the share of the target that is spread over all classes.
    logits (rows, classes), target (rows,) int64; the mean over the rows.
    """

    def __init__(self, gamma: float, smoothing: float):
        super().__init__()
        self.gamma = gamma
        self.smoothing = smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = functional.cross_entropy(
            logits, target, reduction="none", label_smoothing=self.smoothing
        )
        probability = logits.detach().softmax(dim=1).gather(1, target[:, None])[:, 0]
        return ((1.0 - probability) ** self.gamma * losses).mean()


def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
