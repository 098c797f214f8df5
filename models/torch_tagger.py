"""A series of measurements of any length, and what each of them is."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class TorchTagger(nn.Module):
    """Measurements (rows, length, columns) and their mask (rows, length) in; logits of each
    position out, (rows, classes, length), as torch's losses take them. What is padded changes no
    other position's answer."""

    mean: Tensor
    scale: Tensor

    def __init__(self, columns: int, units: int, classes: int, dropout: float = 0.1):
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))
        self.before = nn.Conv1d(columns, units, kernel_size=3, padding=1)
        self.attention = SelfAttention(units, heads=2)
        self.norm = nn.LayerNorm(units)
        self.head = nn.Sequential(
            nn.Linear(units, units), nn.ReLU(), nn.Dropout(dropout), nn.Linear(units, classes)
        )

    def adapt(self, readings: Any, mask: Any) -> None:
        """Fits to all measurements of the training rows, which lie one row after the other."""
        values = np.asarray(readings.values, np.float64)
        self.mean.copy_(torch.from_numpy(values.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(values.std(axis=0) + 1e-6))

    def forward(self, readings: Tensor, mask: Tensor) -> Tensor:
        values = (readings - self.mean) / self.scale * mask.unsqueeze(-1)
        hidden = functional.relu(self.before(values.transpose(1, 2))).transpose(1, 2)
        hidden = self.norm(hidden + self.attention(hidden, mask))
        logits: Tensor = self.head(hidden).transpose(1, 2)
        return logits


class SelfAttention(nn.Module):
    """Attention of each position to those that the mask names."""

    def __init__(self, units: int, heads: int):
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(units, 3 * units)
        self.output = nn.Linear(units, units)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        parts = self.inputs(hidden).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        visible = (mask > 0)[:, None, None, :]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        joined: Tensor = self.output(attended.transpose(1, 2).flatten(-2))
        return joined
