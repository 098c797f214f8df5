"""Lines for the card."""

from .whole import card, training_card

__all__ = ["card", "training_card"]
