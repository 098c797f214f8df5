"""Predicts, and says where the weights lie."""

from collections.abc import Callable
from pathlib import Path

from .._onnxruntime import refusals
from ..contract import Arrays, Place
from ._states import read
from ._trainer import Trainer

__all__ = ["load", "refusals", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns the function that predicts; state and graphs are screened first."""
    return Trainer(directory).predict


def weights(directory: Path) -> dict[str, Place]:
    """Returns the place of each weight, and of each constant that the graphs take."""
    return {
        each["name"].partition("/")[2]: (
            each["file"],
            each["offset"],
            each["nbytes"],
            each["dtype"],
        )
        for each in read(directory)["states"]
        if not each["name"].startswith("optimizer/")
    }
