"""The small one that everybody starts with, subclassed."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="models")
class KerasMLP(keras.Model):
    """Raw pixels in, (rows, pixels); probabilities out, (rows, classes).

    `largest` is the greatest raw value. The first call makes the weights.
    """

    def __init__(self, units: int, classes: int, largest: float, **options: object):
        super().__init__(**options)
        self.sizes = {"units": units, "classes": classes, "largest": largest}
        self.scale = layers.Rescaling(1 / largest)
        self.hidden = layers.Dense(units, activation="relu")
        self.answer = layers.Dense(classes, activation="softmax")

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        return self.answer(self.hidden(self.scale(pixels)))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), **self.sizes}
