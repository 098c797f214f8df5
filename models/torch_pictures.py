"""Small nets over small pictures: which kinds there are, where the largest is, what a point is."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def _block(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _scaled(picture: Tensor) -> Tensor:
    """Bytes (rows, height, width) in, one channel of -1 to 1 out."""
    return picture.unsqueeze(1).float() / 127.5 - 1


class Trunk(nn.Module):
    """Picture (rows, 16, 16) uint8 in, features (rows, 2 * channels * 16) out."""

    def __init__(self, channels: int):
        super().__init__()
        self.fine, self.coarse = _block(1, channels), _block(channels, 2 * channels)

    def forward(self, picture: Tensor) -> Tensor:
        fine = functional.max_pool2d(self.fine(_scaled(picture)), 2)
        return functional.max_pool2d(self.coarse(fine), 2).flatten(1)


class TorchKinds(nn.Module):
    """Several labels a picture: logits (rows, kinds) out, each for itself."""

    def __init__(self, channels: int, kinds: int):
        super().__init__()
        self.trunk, self.head = Trunk(channels), nn.Linear(32 * channels, kinds)

    def forward(self, picture: Tensor) -> Tensor:
        return self.head(self.trunk(picture))


class TorchLocator(nn.Module):
    """Two answers by name: `kind`, logits (rows, kinds), and `place`, a box (rows, 4)."""

    def __init__(self, channels: int, kinds: int):
        super().__init__()
        self.trunk = Trunk(channels)
        self.kind, self.place = nn.Linear(32 * channels, kinds), nn.Linear(32 * channels, 4)

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        features = self.trunk(picture)
        return {"kind": self.kind(features), "place": self.place(features).sigmoid()}


class TorchUNet(nn.Module):
    """Image to mask: logits (rows, classes, height, width) out, after Ronneberger et al., 2015."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.down, self.bottom = _block(1, channels), _block(channels, 2 * channels)
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.joined = _block(2 * channels, channels)
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.down(_scaled(picture))
        coarse = self.bottom(functional.max_pool2d(fine, 2))
        return self.head(self.joined(torch.cat([fine, self.up(coarse)], dim=1)))


class TorchPoints(nn.Module):
    """Image of any size to mask: logits (rows, classes, height, width) out. Beyond a picture's own
    edge, where `inside` (rows, height, width) is 0, there is nothing: padding changes no answer."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.near = nn.Conv2d(1, channels, 3, padding=1)
        self.far = nn.Conv2d(channels, 2 * channels, 3, padding=3, dilation=3)
        self.head = nn.Conv2d(2 * channels, classes, 1)

    def forward(self, picture: Tensor, inside: Tensor) -> Tensor:
        there = inside.unsqueeze(1)
        near = functional.relu(self.near(_scaled(picture) * there)) * there
        return self.head(functional.relu(self.far(near)))
