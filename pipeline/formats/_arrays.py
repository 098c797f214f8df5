"""Arrays as formats take and give them."""

import numpy as np


def decoded(array: np.ndarray) -> np.ndarray:
    """Returns strings as numpy's own text; TensorFlow gives them as bytes, or objects of bytes."""
    text = array.dtype.hasobject or array.dtype.kind == "S"
    return np.char.decode(array.astype("S"), "utf-8") if text else array


def at_least_one_row(array: np.ndarray) -> np.ndarray:
    """Returns the array, or one row of zeros where it has no rows."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)
