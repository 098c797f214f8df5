"""Writes the format."""

from .whole import export

__all__ = ["export"]
