"""Preprocessing that travels inside the model."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

CHUNK_BYTES = 1 << 24


class Standardize(nn.Module):
    """Raw values in, zero mean and unit variance out, feature by feature.

    Until `adapt` was called it changes nothing. Its statistics are buffers, so every export holds
    them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *shape: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.std

    def adapt(self, array: np.ndarray) -> None:
        """Takes mean and standard deviation over the rows, never holding more than a chunk of them.

        A feature that does not vary keeps its scale: its deviation counts as 1.
        """
        expected = tuple(self.mean.shape)
        if array.ndim == 0 or len(array) == 0 or array.shape[1:] != expected:
            features = ", ".join(map(str, expected))
            raise ValueError(f"adapt: found shape {array.shape}, expected (rows > 0, {features})")
        mean, variance = _moments(array)
        std = np.sqrt(variance)
        # Rounding leaves a constant such as 0.1 a deviation of about 1e-17, not 0.
        std[std <= np.finfo(np.float32).eps * np.abs(mean)] = 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))


def _moments(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population variance over axis 0 in float64, merged as in Chan et al., 1979."""
    rows, mean, squares = 0, np.zeros(array.shape[1:]), np.zeros(array.shape[1:])
    for chunk in _chunks(array):
        total = rows + len(chunk)
        shift = chunk.mean(axis=0) - mean
        squares += ((chunk - chunk.mean(axis=0)) ** 2).sum(axis=0)
        squares += shift**2 * (rows * len(chunk) / total)
        mean += shift * (len(chunk) / total)
        rows = total
    return mean, squares / rows


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    row_bytes = 8 * max(1, int(np.prod(array.shape[1:])))
    rows = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, len(array), rows):
        yield np.asarray(array[start : start + rows], dtype=np.float64)
