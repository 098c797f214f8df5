"""The gradient of a step, of as many batches as the source takes."""

import operator
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn


def gradient(
    train: "nn.Module", values: "list[Tensor]", stepping: dict[str, Any], scaler: Any
) -> "Tensor":
    """Adds the gradient of each batch, weighted by its rows; returns the step's loss."""
    import torch

    narrow = "precision" in stepping
    dtype = getattr(torch, stepping["precision"]) if narrow else None
    rows = len(values[0])
    losses: list[Tensor] = []
    for part in batches_of(rows, stepping):
        share = (part.stop - part.start) / rows
        with torch.autocast("cpu", dtype, enabled=narrow):
            loss = train(*(values if share == 1 else [each[part].clone() for each in values]))
        loss = loss if share == 1 else loss * share
        (loss if scaler is None else scaler.scale(loss)).backward()
        losses.append(loss.detach())
    return reduce(operator.add, losses)


def batches_of(rows: int, stepping: dict[str, Any]) -> Iterator[slice]:
    """Yields the batches of a step with this many rows, as equal as they can be."""
    most, least = stepping.get("accumulate", (1, 2))
    for numbers in np.array_split(np.arange(rows), max(1, min(most, rows // least))):
        yield slice(int(numbers[0]), int(numbers[-1]) + 1)
