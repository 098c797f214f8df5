"""A Keras model takes a missing value where its input has something to stand for it."""

from collections.abc import Mapping

import numpy as np

from ._keras_arguments import known, one_or_all
from ._keras_import import keras, tf
from ._keras_own_step import JUDGE, STEP, is_own


def filling(
    model: keras.Model, specs: Mapping[str, tf.TensorSpec], fills: Mapping[str, np.ndarray]
) -> keras.Model:
    """Returns a functional model that fills its inputs and calls this one; it is made of Keras' own
    operations, so that every export holds it. Raises ValueError, one line."""
    if any(is_own(model, name) for name in (STEP, JUDGE)):
        raise ValueError(
            f"data.inputs.{next(iter(fills))}.missing: {type(model).__name__} takes its step "
            "itself, from its inputs as they are; set it to keep, and fill them in call"
        )
    inputs = {
        name: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name)
        for name, spec in specs.items()
    }
    answers = model(one_or_all(known(inputs, fills)))
    return keras.Model(one_or_all(inputs), answers, name="filling")
