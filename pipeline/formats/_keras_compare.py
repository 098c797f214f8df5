"""A Keras model and the program that a format made of it must answer alike.

Both are called with batches of several sizes, and with strings that no vocabulary holds. An error
is one line, begins with the format and names the layers that may be at fault.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import as_argument, decoded, in_order
from .contract import Arrays
from .dimensions import Dimensions

if TYPE_CHECKING:
    import keras

BATCH_SIZES = (1, 7, 33)
RTOL, ATOL = 1e-4, 1e-5  # ATOL times the largest answer above one
UNKNOWN = "?unknown?"  # a string that no vocabulary holds


@dataclass(frozen=True, kw_only=True)
class Names:
    """How errors name a format."""

    format: str
    """They begin with it."""
    standard: str
    """What a model must fit into, for people."""
    whose: str = ""
    """It stands before the name of an output."""


def check_answers(
    model: "keras.Model",
    inputs: Arrays,
    outputs: list[str],
    predict: Callable[[Arrays], Arrays],
    names: Names,
    dimensions: Dimensions,
) -> None:
    """Raises ValueError where the answers differ, or where the model answers at random."""
    for batch in _batches(model, inputs, names, dimensions):
        expected, again = (_answers(model, batch, outputs, names) for _ in range(2))
        answers = predict(batch)
        rows = len(next(iter(batch.values())))
        for name, one, two in zip(outputs, expected, again, strict=True):
            if not np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
                at = layers_that(model, lambda layer: hasattr(layer, "seed_generator"))
                raise ValueError(f"{names.format}: {name} is random; look at {at}")
            difference = _difference(answers[name], one)
            if difference:
                at = layers_that(model, lambda layer: bool(layer.weights))
                raise ValueError(
                    f"{names.format}: {names.whose}{name} for {rows} rows {difference}; "
                    f"the layers are {at}"
                )


def _difference(answer: np.ndarray, expected: np.ndarray) -> str:
    """Returns what is wrong with an answer; "" where it agrees."""
    if (answer.shape, answer.dtype) != (expected.shape, expected.dtype):
        return f"is {answer.dtype}{answer.shape}, the model's {expected.dtype}{expected.shape}"
    if answer.dtype.kind not in "fc":
        return "" if np.array_equal(answer, expected) else "differs from the model's"
    largest = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
    if np.allclose(answer, expected, RTOL, ATOL * largest, equal_nan=True):
        return ""
    return f"differs from the model's by {np.nanmax(np.abs(answer - expected)):.3g}"


def _batches(
    model: "keras.Model", inputs: Arrays, names: Names, dimensions: Dimensions
) -> Iterator[Arrays]:
    """Yields the examples in each batch size, each with another size of the dimensions, and one
    batch with strings that are not known."""
    ends = [dict(dimensions.sizes())]
    ends += [{name: bounds[n] for name, bounds in dimensions.bounds.items()} for n in (0, 1)]
    for rows, sizes in zip(BATCH_SIZES, ends, strict=True):
        yield _resized(inputs, rows, dimensions, sizes)
    if all(array.dtype.kind != "U" for array in inputs.values()):
        return
    batch = {name: _with_unknown(array) for name, array in _resized(inputs, 3, dimensions).items()}
    _check_takes_unknown(model, batch, names)
    yield batch


def _resized(
    inputs: Arrays, rows: int, dimensions: Dimensions, sizes: dict[str, int] | None = None
) -> Arrays:
    return {
        name: dimensions.resized(f"input.{name}", array, rows, sizes)
        for name, array in inputs.items()
    }


def _with_unknown(array: np.ndarray) -> np.ndarray:
    """Returns three rows of strings with an unknown one in the second and none in the third."""
    if array.dtype.kind != "U":
        return array
    column = array.astype(f"U{max(len(UNKNOWN), array.itemsize // 4)}")
    column[1:2], column[2:] = UNKNOWN, ""
    return column


def _check_takes_unknown(model: "keras.Model", batch: Arrays, names: Names) -> None:
    """Raises ValueError where the model refuses strings, which no exported program can."""
    import tensorflow as tf

    try:
        _answers(model, batch, [], names)
    except tf.errors.InvalidArgumentError as error:
        at = layers_that(model, lambda layer: getattr(layer, "num_oov_indices", None) == 0)
        raise ValueError(
            f"{names.format}: {at} refuses strings that it does not know, "
            f"and {names.standard} cannot"
        ) from error


def _answers(
    model: "keras.Model", inputs: Arrays, outputs: list[str], names: Names
) -> list[np.ndarray]:
    import tensorflow as tf

    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    return [decoded(np.asarray(value)) for value in call(model, tensors, outputs, names)]


def call(
    model: "keras.Model", inputs: dict[str, Any], outputs: list[str], names: Names
) -> list[Any]:
    """Returns the outputs in their order, or all where none are named; ValueError for others."""
    values = in_order(model(as_argument(inputs), training=False), outputs)
    if outputs and len(values) != len(outputs):
        raise ValueError(
            f"{names.format}: the model gave {len(values)} values, expected one each: {outputs}"
        )
    return values


def tensor_dtype(array: np.ndarray) -> Any:
    """Returns TensorFlow's type for a column of examples."""
    import tensorflow as tf

    return tf.string if array.dtype.kind == "U" else tf.as_dtype(array.dtype)


def layer_of(operation: str, layers: Iterable[Any]) -> str:
    """Returns the innermost of `layers` in whose scope an operation of TensorFlow lies, or "".

    A layer `dense` opens the scope `dense`, or `dense_1` where it is called once more.
    """
    by_name = {layer.name: layer for layer in layers}
    for scope in reversed(operation.split("/")[:-1]):
        for name in (re.sub(r"_\d+$", "", scope), scope):
            if name in by_name:
                return describe(by_name[name])
    return ""


def layers_that(model: "keras.Model", fits: Callable[[Any], bool]) -> str:
    """Returns at most five layers, those of somebody's own making first."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if fits(layer)]
    layers.sort(key=lambda layer: type(layer).__module__.startswith("keras."))
    return ", ".join(map(describe, layers[:5])) or "the model's own call"


def describe(layer: Any) -> str:
    return f"layer {layer.name} ({type(layer).__name__})"


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Silences these loggers: the result is checked afterwards, and an error is said once."""
    silenced = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in silenced]
    for logger in silenced:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(silenced, levels, strict=True):
            logger.setLevel(level)
