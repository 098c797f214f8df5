"""Weights of classes in a loss of PyTorch's."""

from collections.abc import Sequence

import torch
from torch import nn

TAKES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)


def weigh(loss: nn.Module, weights: Sequence[float]) -> None:
    """Gives each loss that takes weights of classes these, as a buffer that a checkpoint holds.
    Raises ValueError, one line, where none does, or one has its own."""
    takes = [part for part in loss.modules() if isinstance(part, TAKES)]
    if not takes:
        raise ValueError(
            f"train.class_weights: the loss {type(loss).__name__} takes none, expected one of "
            f"{', '.join(kind.__name__ for kind in TAKES)}; set them to null"
        )
    for part in takes:
        if part.weight is not None:
            raise ValueError(
                f"train.class_weights: the loss {type(part).__name__} has a weight of its own; "
                "expected one of the two"
            )
        part.weight = torch.tensor(weights, dtype=torch.float32)
