"""Loads the format."""

from .whole import load, weights

__all__ = ["load", "weights"]
