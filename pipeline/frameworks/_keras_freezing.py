"""Weights of a Keras model that no step changes."""

from collections.abc import Sequence

from ._freezing import demand_some_left, fitting
from ._keras_import import keras
from ._keras_state import layers


def freeze(model: keras.Model, patterns: Sequence[str]) -> None:
    """Makes the weights that the patterns fit not trainable, and layers all of whose weights they
    fit: a batch norm then normalizes in training as it does in evaluation. Raises ValueError."""
    if not patterns:
        return
    frozen = fitting(patterns, [weight.path for weight in model.weights], "/")
    for layer in layers(model):
        if layer.weights and {weight.path for weight in layer.weights} <= frozen:
            layer.trainable = False
    for weight in model.trainable_weights:
        if weight.path in frozen:
            weight.trainable = False
    demand_some_left(patterns, bool(model.trainable_weights))
