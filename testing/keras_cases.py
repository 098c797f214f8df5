"""Small Keras models of the four kinds that a format must hold or refuse; and such as none can."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

Arrays = dict[str, np.ndarray]
CITIES = ["oslo", "rome", "zürich", "北京"]


@dataclass
class Case:
    """A compiled model that has been called, and how to make its inputs for any number of rows."""

    model: keras.Model
    inputs: Callable[[int], Arrays]

    def eager(self, inputs: Arrays) -> np.ndarray:
        tensors = {name: tf.constant(each) for name, each in inputs.items()}
        given = tensors if len(tensors) > 1 else next(iter(tensors.values()))
        return self.model(given, training=False).numpy()


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(24, activation="relu")
        self.head = layers.Dense(10, activation="softmax")

    def call(self, pixels: Any) -> Any:
        return self.head(self.hidden(pixels))


class Affine(layers.Layer):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), name="bias")

    def call(self, values: Any) -> Any:
        return ops.matmul(values, self.kernel) + self.bias


class Around(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.head = Affine(24), Affine(10)

    def call(self, pixels: Any) -> Any:
        return ops.softmax(self.head(ops.tanh(self.hidden(pixels))))


class Brier(keras.losses.Loss):
    def call(self, target: Any, predicted: Any) -> Any:
        return ops.mean(ops.square(ops.one_hot(target, 10) - predicted), axis=-1)


def soft_clip(values: Any) -> Any:
    return 6.0 * ops.tanh(values / 6.0)


def functional() -> keras.Model:
    normalization = layers.Normalization()
    normalization.adapt(pixels(200)["pixels"])
    given = keras.Input((64,), name="pixels")
    hidden = layers.Dense(24, activation=soft_clip)(normalization(given))
    hidden = layers.Dropout(0.5)(layers.BatchNormalization()(hidden))
    return keras.Model(given, layers.Dense(10, activation="softmax")(hidden))


def text_and_numbers() -> keras.Model:
    age, city = keras.Input((1,), name="age"), keras.Input((), dtype="string", name="city")
    index = layers.StringLookup(vocabulary=CITIES)(city)
    known = layers.Embedding(5, 64)(index)
    numbers = layers.Normalization(mean=40.0, variance=100.0)(age)
    hidden = layers.Dense(24, activation="relu")(layers.Concatenate()([numbers, known]))
    return keras.Model({"age": age, "city": city}, layers.Dense(3, activation="softmax")(hidden))


def pixels(rows: int) -> Arrays:
    return {"pixels": np.random.default_rng(rows).uniform(0, 16, (rows, 64)).astype(np.float32)}


def visitors(rows: int) -> Arrays:
    random = np.random.default_rng(rows)
    age = random.uniform(20, 80, (rows, 1)).astype(np.float32)
    return {"age": age, "city": random.choice([*CITIES, "atlantis", ""], rows)}


def make() -> dict[str, Case]:
    """Weights and statistics none of which are zero or one, so that a lost one shows."""
    keras.utils.clear_session()  # Keras counts layers in a process, and their names are written
    keras.utils.set_random_seed(0)
    found = {
        "subclassed": Case(Subclassed(), pixels),
        "custom": Case(Around(), pixels),
        "functional": Case(functional(), pixels),
        "text": Case(text_and_numbers(), visitors),
    }
    for case in found.values():
        case.model.compile("adam", Brier())
        case.eager(case.inputs(2))
        random = np.random.default_rng(0)
        for weight in case.model.weights:
            if weight.dtype == "float32":
                weight.assign(weight + random.uniform(0.01, 0.02, weight.shape))
    return found


class Inverse(layers.Layer):
    def call(self, values: Any) -> Any:
        return values @ tf.linalg.inv(tf.eye(3) + tf.reduce_mean(values) ** 2)


class AlwaysDropout(layers.Layer):
    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.dropout = layers.Dropout(0.5, name="always")

    def call(self, values: Any) -> Any:
        return self.dropout(values, training=True)


class InPython(layers.Layer):
    def call(self, values: Any) -> Any:
        return tf.ensure_shape(
            tf.py_function(lambda each: each * 2, [values], tf.float32), [None, 3]
        )


def numbers(layer: layers.Layer) -> Case:
    given = keras.Input((3,), name="x")
    return Case(keras.Model(given, layer(given)), lambda rows: {"x": np.ones((rows, 3), "float32")})


def words(layer: layers.Layer) -> Case:
    given = keras.Input((1,), dtype="string", name="word")
    known = layers.Flatten()(layers.Embedding(9, 4)(layer(given)))
    return Case(
        keras.Model(given, layers.Dense(2)(known)), lambda rows: {"word": np.full((rows, 1), "b")}
    )


def unfit(name: str) -> Case:
    """A model whose layer of this name is at fault."""
    letters = ["a", "b"]
    match name:
        case "inverse":
            return numbers(Inverse(name=name))
        case "always":
            return numbers(AlwaysDropout(name="around"))
        case "in_python":
            return numbers(InPython(name=name))
        case "hashed":
            return words(layers.StringLookup(vocabulary=letters, num_oov_indices=3, name=name))
        case "strict":
            return words(layers.StringLookup(vocabulary=letters, num_oov_indices=0, name=name))
        case _:
            return words(
                layers.TextVectorization(vocabulary=letters, output_sequence_length=4, name=name)
            )


UNFIT = ("inverse", "always", "in_python", "hashed", "strict", "split")
