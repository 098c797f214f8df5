"""A script of somebody who has never heard of this project: it trains two classifiers of digits, a
functional and a subclassed one, for a few steps, saves them in each of the ways that people save
one, and goes on for three more.

It runs as `python -I keras_script.py FOLDER`, so that nothing of the repository can be imported.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_DETERMINISTIC_OPS": "1"}

import keras
import numpy as np
import tensorflow as tf
from keras import layers

STEPS, MORE, ROWS = 5, 3, 8


@keras.saving.register_keras_serializable(package="digits")
class Digits(keras.Model):
    def __init__(self, units=64, classes=10, **options):
        super().__init__(**options)
        self.scale = layers.Rescaling(1 / 16)
        self.hidden = layers.Dense(units, activation="relu")
        self.answer = layers.Dense(classes, activation="softmax")

    def call(self, pixels):
        return self.answer(self.hidden(self.scale(pixels)))


def soft_clip(values):
    return 6.0 * keras.ops.tanh(values / 6.0)


def functional():
    inputs = keras.Input((64,), name="pixels")
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(np.concatenate([pixels for pixels, _ in rows(0, STEPS)]))
    values = normalization(inputs)
    values = layers.Activation(soft_clip, name="soft_clip")(values)
    values = layers.Dense(64, use_bias=False, name="hidden")(values)
    values = layers.BatchNormalization(momentum=0.9, name="batch_norm")(values)
    values = layers.Activation("relu", name="relu")(values)
    values = layers.Dropout(0.0, name="dropout")(values)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="probabilities")(values))


def rows(begin, end):
    for seed in range(begin, end):
        random = np.random.default_rng(seed)
        yield random.uniform(0, 16, (ROWS, 64)).astype("float32"), random.integers(0, 10, ROWS)


def train(model, begin, end):
    for pixels, labels in rows(begin, end):
        model.train_on_batch(pixels, labels)


def made(model, optimizer):
    model.compile(optimizer, "sparse_categorical_crossentropy")
    train(model, 0, STEPS)
    return model


def main(folder):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(5)
    own = made(Digits(), keras.optimizers.Adam(0.002))
    own.save(folder / "own.keras")
    own.save_weights(folder / "own.weights.h5")
    (folder / "checkpoint").mkdir()
    checkpoint = tf.train.Checkpoint(model=own, optimizer=own.optimizer)
    checkpoint.save(folder / "checkpoint" / "ckpt")
    own.export(folder / "saved_model", verbose=False)
    model = made(functional(), keras.optimizers.AdamW(0.002, weight_decay=0.01))
    model.save(folder / "functional.h5")
    for name, each in {"own": own, "functional": model}.items():
        weights = {str(i): value for i, value in enumerate(each.get_weights())}
        np.savez(folder / f"{name}.npz", **weights)
        train(each, STEPS, STEPS + MORE)
        after = {str(i): value for i, value in enumerate(each.get_weights())}
        np.savez(folder / f"{name}_after.npz", **after)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
