"""Trains the format on."""

from .whole import load_training, optimizer_state

__all__ = ["load_training", "optimizer_state"]
