"""What makes more of few pictures: they are changed at random while the net trains."""

import torch
from torch import Tensor, nn


class RandomShift(nn.Module):
    """Pictures (rows, height, width) in, each moved sideways by up to `most` points, out; what is
    pushed out on one side comes in on the other."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def forward(self, picture: Tensor) -> Tensor:
        rows, height, width = picture.shape
        shift = torch.randint(-self.most, self.most + 1, (rows, 1, 1), device=picture.device)
        places = (torch.arange(width, device=picture.device) + shift) % width
        return picture.gather(2, places.expand(rows, height, width))


class RandomMirror(nn.Module):
    """Pictures and their masks (rows, height, width) in, half of them mirrored, both alike, out."""

    def forward(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mirrored = torch.rand((picture.shape[0], 1, 1), device=picture.device) < 0.5
        return tuple(torch.where(mirrored, each.flip(2), each) for each in (picture, mask))
