"""The names that a program in another language feeds and fetches, in their order."""

from ._archive import signature

__all__ = ["signature"]
