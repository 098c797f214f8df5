"""Keras' fit with a train_step and callbacks of one's own, for
`python -m pipeline experiment=keras_fit`.

Gradients have noise added to them, less with each step: a thing that no optimizer of Keras does.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.keras_custom import GeneralizedCrossEntropy, KerasCustom


class NoisyCustom(KerasCustom):
    def noise(self):
        return 0.01 / (1.0 + 0.01 * tf.cast(self.optimizer.iterations, tf.float32))

    def train_step(self, data):
        pixels, labels = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=labels, y_pred=self(pixels, training=True))
        weights = self.trainable_variables
        step, deviation = tf.cast(self.optimizer.iterations, tf.int32), self.noise()
        gradients = [
            gradient + tf.random.stateless_normal(gradient.shape, [step, number], stddev=deviation)
            for number, gradient in enumerate(tape.gradient(loss, weights))
        ]
        self.optimizer.apply(gradients, weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(pixels)[0])
        return self.get_metrics_result()


class Shuffled(keras.utils.PyDataset):
    """The order is a function of seed and epoch: that of fit itself cannot be gone on with."""

    def __init__(self, pixels, labels, size, seed, epoch):
        super().__init__()
        self.pixels, self.labels, self.size = pixels, labels, size
        self.seed, self.epoch = seed, epoch
        self.on_epoch_begin()

    def on_epoch_begin(self):
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.pixels))

    def on_epoch_end(self):
        self.epoch += 1
        self.on_epoch_begin()

    def __len__(self):
        return -(-len(self.pixels) // self.size)

    def __getitem__(self, index):
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.pixels[rows], self.labels[rows]


class Noise(keras.callbacks.Callback):
    """Logs how much noise is added by now."""

    def on_epoch_end(self, epoch, logs=None):
        logs["noise"] = float(self.model.noise())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)

    def read(split):
        folder = options.data / split
        return np.load(folder / "inputs/pixels.npy"), np.load(folder / "targets/label.npy")

    model = NoisyCustom(units=64, classes=10, largest=16.0)
    done = int(Path(options.resume).name[6:10]) if options.resume else 0
    rows = Shuffled(*read("train"), options.batch_size, options.seed, done)
    model(rows[0][0])
    model.compile(
        optimizer=keras.optimizers.Adam(options.lr),
        loss=GeneralizedCrossEntropy(q=0.5),
        jit_compile=False,
    )
    if options.resume:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(options.resume)
    model.fit(
        rows,
        epochs=options.epochs,
        initial_epoch=done,
        validation_data=read("val"),
        shuffle=False,  # of whole batches, drawn anew by whoever goes on
        verbose=2,
        callbacks=[
            Noise(),
            keras.callbacks.CSVLogger(str(options.out / "log.csv"), append=done > 0),
            keras.callbacks.ModelCheckpoint(
                str(options.out / "epoch_{epoch:04d}.weights.h5"), save_weights_only=True
            ),
        ],
    )


if __name__ == "__main__":
    main()
