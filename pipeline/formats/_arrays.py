"""Arrays as formats take and give them, and as Keras models do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def tensorflow_refusals() -> tuple[type[Exception], ...]:
    """Returns what a function of TensorFlow's raises on rows that it does not take."""
    import tensorflow as tf

    own: tuple[type[Exception], ...] = (tf.errors.OpError,)
    return (*own, ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


def decoded(array: np.ndarray) -> np.ndarray:
    """Returns strings as numpy's own text; TensorFlow gives them as bytes, or objects of bytes."""
    text = array.dtype.hasobject or array.dtype.kind == "S"
    return np.char.decode(array.astype("S"), "utf-8") if text else array


def at_least_one_row(array: np.ndarray) -> np.ndarray:
    """Returns the array, or one row of zeros where it has no rows."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def as_argument(inputs: Mapping[str, Any]) -> Any:
    """Returns what a Keras model is called with: one input by itself, several by name."""
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


def named(argument: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns by name what `as_argument` made an argument of."""
    return dict(argument) if len(names) > 1 else {names[0]: argument}


def in_order(returned: Any, outputs: Sequence[str] = ()) -> list[Any]:
    """Returns what a Keras model returned as a list: a dict's values in the order of `outputs`,
    those that it lacks left out, or all of them where none are named."""
    if isinstance(returned, dict):
        return [returned[name] for name in outputs or returned if name in returned]
    return list(returned) if isinstance(returned, list | tuple) else [returned]
