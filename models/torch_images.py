"""Pictures of 8 bits a pixel and channel into classes, whatever their size."""

import torch
from torch import Tensor, nn


class TorchImages(nn.Module):
    """Pixels in, (rows, height, width, colours) uint8; logits out, (rows, classes)."""

    def __init__(self, colours: int, channels: int, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(colours, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(2 * channels, classes)

    def forward(self, picture: Tensor) -> Tensor:
        scaled = picture.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        return self.head(self.features(scaled).amax(dim=(2, 3)))
