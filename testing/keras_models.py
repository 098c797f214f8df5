"""Small Keras models, one for each thing that is hard to hold."""

import keras
import numpy as np
from keras import layers, ops

Arrays = dict[str, np.ndarray]


class Dense(keras.Model):
    """Subclassed: built by its first call."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.hidden = layers.Dense(16, activation="relu")
        self.answer = layers.Dense(4, activation="softmax")

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return self.answer(self.hidden(pixels))


class Scaled(layers.Layer):
    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 4))
        self.bias = self.add_weight(name="bias", shape=(4,), initializer="ones")

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        return ops.matmul(values, self.kernel) + self.bias


class Custom(keras.Model):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.scaled = Scaled()

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return ops.softmax(self.scaled(pixels))


class Distance(keras.losses.Loss):
    """Squared, from the true class' corner."""

    def call(self, target: keras.KerasTensor, found: keras.KerasTensor) -> keras.KerasTensor:
        corner = ops.one_hot(ops.cast(ops.reshape(target, (-1,)), "int32"), 4)
        return ops.sum(ops.square(found - corner), axis=-1)


def wavy(values: keras.KerasTensor) -> keras.KerasTensor:
    return ops.sin(values)


def functional() -> keras.Model:
    inputs = keras.Input((12,), name="pixels")
    normalization = layers.Normalization()
    normalization.adapt(np.arange(600, dtype=np.float32).reshape(50, 12) % 17)
    hidden = layers.Dense(16, activation=wavy)(normalization(inputs))
    hidden = layers.Dropout(0.4, seed=3)(layers.BatchNormalization()(hidden))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(hidden))


def strings() -> keras.Model:
    city, age = keras.Input((), dtype="string", name="city"), keras.Input((2,), name="age")
    lookup = layers.StringLookup(name="city_lookup")
    lookup.adapt(np.array(["Oslo", "Roma", "Lima", "Łódź", "Oslo"]))
    index = layers.Embedding(5, 3)(lookup(city))
    hidden = layers.Dense(8, activation="relu")(layers.Concatenate()([index, age]))
    return keras.Model({"city": city, "age": age}, layers.Dense(4, activation="softmax")(hidden))


def inputs(name: str, rows: int) -> Arrays:
    random = np.random.default_rng(rows)
    if name == "strings":
        words = np.array(["Oslo", "Łódź", "Roma", "Nowhere", "Lima"])
        age = random.normal(size=(rows, 2)).astype(np.float32)
        return {"city": np.resize(words, rows), "age": age}
    return {"pixels": random.uniform(0, 16, (rows, 12)).astype(np.float32)}


def given(arrays: Arrays) -> object:
    tensors = {name: ops.convert_to_tensor(array) for name, array in arrays.items()}
    return tensors if len(tensors) > 1 else next(iter(tensors.values()))


def built(name: str) -> keras.Model:
    """The same weights and optimizer state each time, two steps into training."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    makers = {"dense": Dense, "custom": Custom, "functional": functional, "strings": strings}
    model = makers[name]()
    loss = Distance() if name == "custom" else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss)
    for _ in range(2):
        model.train_on_batch(given(inputs(name, 6)), np.array([0, 1, 2, 3, 0, 1]))
    return model


def predicted(model: keras.Model, arrays: Arrays) -> np.ndarray:
    return np.asarray(model(given(arrays), training=False))


CUSTOM = {kind.__name__: kind for kind in (Dense, Scaled, Custom, Distance, wavy)}
