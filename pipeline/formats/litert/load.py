"""Loads the format: LiteRT's own operators run it."""

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import at_least_one_row, decoded
from .._arrays import tensorflow_refusals as refusals
from ..contract import Arrays, Place
from . import _schema as schema
from ._flatbuffer import Table, root
from ._names import ENDPOINT, FILE
from .screen import screen

__all__ = ["interpreter", "load", "refusals", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns a function of inputs by name; ValueError where the file asks for other operators.

    TensorFlow's interpreter would also run TensorFlow's operators, those that write files too. No
    rows never reach it: XNNPACK fails on them in a convolution. One row of zeros goes in instead.
    """
    screen(directory)
    run = interpreter((directory / FILE).read_bytes()).get_signature_runner(ENDPOINT)
    names = list(run.get_input_details())

    def predict(inputs: Arrays) -> Arrays:
        rows = min(len(inputs[name]) for name in names)
        answers = run(**{name: _encoded(at_least_one_row(inputs[name])) for name in names})
        return {name: decoded(each if rows else each[:0]) for name, each in answers.items()}

    return predict


def interpreter(content: bytes) -> Any:
    """Returns TensorFlow's; 2.21 still has it, and warns that 2.20 would not."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return tf.lite.Interpreter(model_content=content)


def _encoded(array: np.ndarray) -> np.ndarray:
    return np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array


def weights(directory: Path) -> dict[str, Place]:
    """Returns where each constant tensor's buffer lies; a name's second is name#1, and so on."""
    model = root((directory / FILE).read_bytes())
    buffers = [_place(buffer) for buffer in model.tables(schema.BUFFERS)]
    places: dict[str, Place] = {}
    counts: Counter[str] = Counter()
    for graph in model.tables(schema.GRAPHS):
        for tensor in graph.tables(schema.TENSORS):
            at, size = buffers[tensor.number(schema.BUFFER, "I")]
            if size:
                name = tensor.text(schema.NAME)
                dtype = schema.DTYPES.get(tensor.number(schema.KIND, "b"), "uint8")
                key = f"{name}#{counts[name]}" if counts[name] else name
                counts[key.partition("#")[0]] += 1
                places[key] = (FILE, at, size, dtype)
    return places


def _place(buffer: Table) -> tuple[int, int]:
    """Returns (offset, nbytes); those of large files lie behind the flatbuffer."""
    offset, size = buffer.number(schema.OFFSET, "Q"), buffer.number(schema.SIZE, "Q")
    return (offset, size) if size > 1 else buffer.vector(schema.DATA, 1)
