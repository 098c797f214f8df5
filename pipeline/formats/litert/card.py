"""Lines for the card."""

from .whole import card

__all__ = ["card"]
