"""Models that learn from their inputs alone: to say them again, or to tell which are alike."""

import keras
from keras import layers, ops

SIDE = 8


def keras_autoencoder(inputs: int, units: int, size: int, largest: float) -> keras.Model:
    """Raw pixels (rows, inputs) in; `reconstruction` of them and `code` (rows, size) out."""
    pixels = keras.Input((inputs,), name="pixels")
    values = layers.Rescaling(1 / largest, name="scale")(pixels)
    values = layers.Dense(units, activation="relu", name="narrow")(values)
    code = layers.Dense(size, name="code")(values)
    values = layers.Dense(units, activation="relu", name="wide")(code)
    shares = layers.Dense(inputs, activation="sigmoid", name="shares")(values)
    again = layers.Rescaling(largest, name="reconstruction")(shares)
    return keras.Model(pixels, {"reconstruction": again, "code": code}, name="keras_autoencoder")


@keras.saving.register_keras_serializable(package="models")
class KerasContrastive(keras.Model):
    """Raw pixels (rows, 64) in; embeddings (rows, size) of length 1 out.

    Its loss is NT-Xent (Chen et al., 2020) of the picture and the picture moved by one pixel.
    """

    def __init__(
        self, units: int, size: int, temperature: float, largest: float, **options: object
    ):
        super().__init__(**options)
        self.sizes = {"units": units, "size": size}
        self.scales = {"temperature": temperature, "largest": largest}
        self.hidden = layers.Dense(units, activation="relu")
        self.answer = layers.Dense(size)

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        values = self.answer(self.hidden(pixels / self.scales["largest"]))
        return values * ops.rsqrt(ops.sum(values * values, axis=1, keepdims=True) + 1e-12)

    def compute_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: bool = True,
    ) -> object:
        """Each view must find its partner among all others of the batch."""
        moved = ops.roll(ops.reshape(x, (-1, SIDE, SIDE)), 1, axis=2)
        other = self(ops.reshape(moved, (-1, SIDE * SIDE)), training=training)
        views = ops.concatenate([y_pred, other])
        near = ops.matmul(views, ops.transpose(views)) / self.scales["temperature"]
        rows = ops.arange(ops.shape(y_pred)[0])
        count = ops.shape(views)[0]
        itself = ops.equal(ops.arange(count)[:, None], ops.arange(count)[None, :])
        near = ops.where(itself, -1e9, near)
        partners = ops.concatenate([rows + ops.shape(y_pred)[0], rows])
        losses = keras.losses.sparse_categorical_crossentropy(partners, near, from_logits=True)
        return ops.mean(losses)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), **self.sizes, **self.scales}
