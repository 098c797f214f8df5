"""A functional model: its layers are Keras' own, one activation is not."""

import keras
from keras import layers, ops

REACH = 6.0
"""Standard deviations."""


@keras.saving.register_keras_serializable(package="models")
def soft_clip(values: keras.KerasTensor) -> keras.KerasTensor:
    """Small values as they are, large ones towards REACH.

    A pixel that never varied in training is divided by next to nothing when it varies at last.
    """
    return REACH * ops.tanh(values / REACH)


def keras_functional(units: int, classes: int, dropout: float, pixels: int) -> keras.Model:
    """Raw pixels in, (rows, pixels); probabilities out, (rows, classes)."""
    inputs = keras.Input((pixels,), name="pixels")
    values = layers.Normalization(name="normalization")(inputs)
    values = layers.Activation(soft_clip, name="soft_clip")(values)
    values = layers.Dense(units, use_bias=False, name="hidden")(values)
    values = layers.BatchNormalization(momentum=0.9, name="batch_norm")(values)
    values = layers.Activation("relu", name="relu")(values)
    values = layers.Dropout(dropout, name="dropout")(values)
    probabilities = layers.Dense(classes, activation="softmax", name="probabilities")(values)
    return keras.Model(inputs, probabilities, name="keras_functional")
