"""Loads the format: TensorFlow runs known operators only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._arrays import as_argument, decoded
from .._arrays import tensorflow_refusals as refusals
from ..contract import Arrays, Place
from ._files import FOLDER, read_signature
from ._index import places
from .screen import screen

__all__ = ["load", "predictor", "refusals", "tensors", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns a function of inputs by name; ValueError for anything but known operators."""
    import tensorflow as tf

    screen(directory)
    signature = read_signature(directory)
    return predictor(tf.saved_model.load(str(directory / FOLDER)), signature)


def predictor(model: Any, signature: dict[str, Any]) -> Callable[[Arrays], Arrays]:
    def predict(inputs: Arrays) -> Arrays:
        answers = model.serve(tensors(inputs, signature["inputs"]))
        return {name: decoded(answers[name].numpy()) for name in signature["outputs"]}

    return predict


def tensors(inputs: Arrays, names: list[str]) -> Any:
    """Returns one input as it is, several in a dict."""
    import tensorflow as tf

    return as_argument({name: tf.constant(inputs[name]) for name in names})


def weights(directory: Path) -> dict[str, Place]:
    """Returns where each weight lies, by Keras path; TensorFlow is not loaded."""
    return places(directory, "weights")
