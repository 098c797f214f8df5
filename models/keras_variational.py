"""A model that brings its own steps: a variational autoencoder (Kingma and Welling, 2014)."""

import keras
import tensorflow as tf
from keras import layers, ops


class KerasVariational(keras.Model):
    """Raw pixels (rows, inputs) in; `reconstruction` of them and `code` (rows, size) out."""

    def __init__(self, inputs: int, units: int, size: int, largest: float, warm_up: int):
        super().__init__()
        self.largest, self.warm_up = largest, warm_up
        self.encoder = keras.Sequential(
            [layers.Dense(units, activation="relu"), layers.Dense(size)]
        )
        self.spread = layers.Dense(size)
        self.decoder = keras.Sequential(
            [layers.Dense(units, activation="relu"), layers.Dense(inputs)]
        )
        self.spread.build((None, size))
        self.generator = keras.random.SeedGenerator(0)
        self.steps = self.add_weight(name="steps", initializer="zeros", trainable=False)
        self.tracker = keras.metrics.Mean(name="loss")

    def call(self, pixels: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
        code = self.encoder(pixels / self.largest)
        return {"reconstruction": ops.sigmoid(self.decoder(code)) * self.largest, "code": code}

    def judged(self, pixels: object) -> object:
        """How far what is said again is from the pixels, and the drawn code from nothing."""
        shares = pixels / self.largest
        code = self.encoder(shares)
        log_variance = self.spread(code)
        noise = keras.random.normal(ops.shape(code), seed=self.generator)
        logits = self.decoder(code + noise * ops.exp(log_variance / 2))
        apart = ops.sum(ops.binary_crossentropy(shares, logits, from_logits=True), axis=1)
        far = ops.sum(ops.square(code) + ops.exp(log_variance) - 1 - log_variance, axis=1) / 2
        weight = ops.minimum(self.steps / self.warm_up, 1.0)
        return ops.mean(apart + weight * far)

    def train_step(self, pixels: object) -> dict[str, object]:
        self.steps.assign_add(1)
        with tf.GradientTape() as tape:
            loss = self.judged(pixels)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    def test_step(self, pixels: object) -> dict[str, object]:
        self.tracker.update_state(self.judged(pixels))
        return {"loss": self.tracker.result()}
