"""A series of measurements of any length, in which padded positions are passed over."""

import keras
from keras import layers, ops


def keras_masking(columns: int, units: int, classes: int) -> keras.Model:
    """Inputs by name: `readings` (rows, length, columns) and `mask` (rows, length), 0 where a row
    is padded; probabilities out, (rows, length, classes)."""
    readings = keras.Input((None, columns), name="readings")
    mask = keras.Input((None,), name="mask")
    there = ops.cast(mask, "bool")
    hidden = layers.Dense(units, activation="relu", name="before")(readings)
    both = layers.Bidirectional(layers.GRU(units, return_sequences=True), name="both_ways")
    hidden = layers.Dropout(0.1, name="dropout")(both(hidden, mask=there))
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(hidden)
    return keras.Model({"readings": readings, "mask": mask}, outputs, name="keras_masking")
