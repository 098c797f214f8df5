"""A table of numbers, of any number of columns, to numbers."""

import keras
from keras import layers


def keras_table(columns: int, units: int, answers: int) -> keras.Model:
    """Raw numbers in, (rows, columns); values out, (rows, answers)."""
    table = keras.Input((columns,), name="table")
    values = layers.Normalization(name="normalization")(table)
    values = layers.Dense(units, activation="relu", name="hidden")(values)
    return keras.Model(table, layers.Dense(answers, name="values")(values), name="keras_table")
