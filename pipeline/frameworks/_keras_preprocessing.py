"""Keras' preprocessing layers are fitted to the training rows."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import _keras_steps
from ._filling import filled
from ._keras_arguments import one_or_all
from ._keras_building import build as build
from ._keras_demands import demand_own_randomness
from ._keras_import import keras
from ._keras_training import Training as Training

Arrays = Mapping[str, np.ndarray]
ADAPT_ROWS = 4096
"""Rows that `adapt` looks at at once."""
FITTED = ("mean", "vocabulary", "bin_boundaries")
"""Arguments of preprocessing layers that take the place of `adapt`."""


def adapt(training: Training, inputs: Arrays) -> None:
    """Fits preprocessing to the training rows (memory-mapped), in one of two ways.

    A model with an `adapt` gets them by name. Otherwise each layer of a functional model that has
    one gets what reaches it, as an iterable of batches, unless it was built with its statistics.
    Raises ValueError, one line.
    """
    model, known = training.inner or training.model, filled(inputs, training.fills)
    if hasattr(model, "adapt"):
        model.adapt(**known)
    elif getattr(model, "inputs", None):
        for layer in model.layers:
            if hasattr(layer, "adapt") and not _is_fitted(layer):
                layer.adapt(_batches_reaching(layer, model, known))
    if training.average is not None:
        training.average.copy(training.model)
    training.programs.clear()
    demand_own_randomness(training.model, training.inputs)


def _is_fitted(layer: keras.Layer) -> bool:
    config = layer.get_config()
    return any(config.get(argument) is not None for argument in FITTED)


def _batches_reaching(layer: keras.Layer, model: keras.Model, inputs: Arrays) -> Iterator[Any]:
    before = keras.Model(model.inputs, layer.input)
    count = len(next(iter(inputs.values())))
    for start in range(0, count, ADAPT_ROWS):
        rows = slice(start, start + ADAPT_ROWS)
        yield before(one_or_all(_keras_steps.tensors(inputs, rows)), training=False)
