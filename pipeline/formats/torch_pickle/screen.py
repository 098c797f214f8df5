"""Looks at the files before they are loaded."""

from .whole import screen

__all__ = ["screen"]
