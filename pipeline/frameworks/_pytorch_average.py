"""The average of a PyTorch net's weights, which predicts, is validated and exported."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ._averaging import Averaging


@dataclass
class Average:
    """A copy of the net whose weights and floating buffers are averages."""

    averaging: Averaging
    net: nn.Module
    epochs: int = 0
    """Trained so far."""
    steps: int = 0
    """Taken in so far; with none, the net itself predicts."""

    def add(self, net: nn.Module) -> None:
        """Takes in the weights as they are after a step."""
        if self.epochs + 1 < self.averaging.start:
            return
        share = 1 / (self.steps + 1)
        if self.averaging.kind == "ema" and self.steps:
            share = 1 - self.averaging.decay
        with torch.no_grad():
            for (_, mine), (_, its) in zip(tensors(self.net), tensors(net), strict=True):
                if self.steps and mine.is_floating_point():
                    mine.lerp_(its, share)
                else:
                    mine.copy_(its)
        self.steps += 1

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets averages and counts as a checkpoint has them."""
        self.net.load_state_dict(state["net"])
        self.epochs, self.steps = state["average"]["epochs"], state["average"]["steps"]

    @property
    def settings(self) -> dict[str, Any]:
        """Returns how it goes on, in plain values."""
        how = self.averaging
        known = {"kind": how.kind, "decay": how.decay, "start": how.start}
        return known | {"epochs": self.epochs, "steps": self.steps}


def average_of(net: nn.Module, averaging: Averaging) -> Average:
    """Returns the average before the first step. Raises ValueError, one line."""
    try:
        return Average(averaging, copy.deepcopy(net))
    except (RuntimeError, TypeError) as fault:
        reason = " ".join(str(fault).split())
        raise ValueError(f"train.averaging: the net cannot be copied: {reason}") from None


def tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields weights and buffers that a checkpoint holds, each under its first name."""
    saved = net.state_dict(keep_vars=True)
    yield from net.named_parameters()
    yield from ((name, buffer) for name, buffer in net.named_buffers() if name in saved)
