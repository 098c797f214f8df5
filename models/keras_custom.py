"""A layer, a model and a loss that Keras does not have: what is hardest to save complete."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="models")
class Affine(layers.Layer):
    """matmul plus bias with weights of its own: (rows, features) to (rows, units)."""

    def __init__(self, units: int, **options: object):
        super().__init__(**options)
        self.units = units

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.weight = self.add_weight(
            name="weight", shape=(shape[-1], self.units), initializer="he_normal"
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        return ops.matmul(values, self.weight) + self.bias

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="models")
class KerasCustom(keras.Model):
    """Raw pixels in, (rows, pixels); probabilities out, (rows, classes).

    `largest` is the greatest raw value.
    """

    def __init__(self, units: int, classes: int, largest: float, **options: object):
        super().__init__(**options)
        self.sizes = {"units": units, "classes": classes, "largest": largest}
        self.hidden = Affine(units)
        self.answer = Affine(classes)

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        scaled = pixels / self.sizes["largest"]
        return ops.softmax(self.answer(ops.relu(self.hidden(scaled))))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), **self.sizes}


@keras.saving.register_keras_serializable(package="models")
class GeneralizedCrossEntropy(keras.losses.Loss):
    """(1 - p**q) / q, where p is the probability of the true class: wrong labels weigh less.

    After Zhang and Sabuncu, 2018. q near 0 is cross-entropy, q = 1 the mean absolute error.
    target (rows,) int64, probabilities (rows, classes); the mean over the rows.
    """

    def __init__(self, q: float, **options: object):
        super().__init__(**options)
        self.q = q

    def call(self, target: keras.KerasTensor, probabilities: keras.KerasTensor) -> object:
        chosen = ops.one_hot(ops.cast(target, "int32"), probabilities.shape[-1])
        true = ops.sum(chosen * probabilities, axis=-1)
        return (1.0 - ops.power(ops.maximum(true, 1e-7), self.q)) / self.q

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "q": self.q}
