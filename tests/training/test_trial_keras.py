"""What a Keras model is refused for before its first epoch, and what it is not."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frameworks import keras as framework
from testing.trial import NUMBER, THREE, fault

import keras  # isort: skip  # by now the framework has chosen the backend
import tensorflow as tf  # isort: skip

Adam = partial(keras.optimizers.Adam, 0.01)
Classes = keras.losses.SparseCategoricalCrossentropy
NUMBERS = {"target": NUMBER, "classes": None}


class Net(keras.Model):
    def __init__(self, columns: int = 2, activation: str | None = "softmax") -> None:
        super().__init__()
        self.first = keras.layers.Dense(8, activation="relu")
        self.last = keras.layers.Dense(columns, activation=activation)

    def call(self, x: Any) -> Any:
        return self.last(self.first(x))


class Scaled(Net):
    def __init__(self) -> None:
        super().__init__()
        self.mean: Any = 0.0

    def adapt(self, x: np.ndarray) -> None:
        self.mean = x.mean(axis=0)

    def call(self, x: Any) -> Any:
        return super().call(x - self.mean)


class ScalingLayer(keras.layers.Layer):
    """A layer of a functional model, adapted by the training itself."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Any = 0.0

    def adapt(self, batches: Any) -> None:
        self.mean = np.concatenate([np.asarray(each) for each in batches]).mean(axis=0)

    def call(self, x: Any) -> Any:
        return x - self.mean


class OwnStep(Net):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class OwnFit(Net):
    __module__ = "models.own"  # a library's may prepare rows there

    def fit(self, *arguments: Any, **options: Any) -> Any:
        return super().fit(*arguments, **options)


class OwnLoss(Net):
    """This one is called."""

    def compute_loss(self, x: Any, y: Any, y_pred: Any, **options: Any) -> Any:
        return 2 * super().compute_loss(x, y, y_pred, **options)


class Difference(keras.losses.Loss):
    """As people write it, without a look at the shapes."""

    def call(self, target: Any, answer: Any) -> Any:
        return keras.ops.mean(keras.ops.square(target - answer))


def functional(*layers: Any) -> keras.Model:
    inputs = keras.Input((4,), name="x")
    values = inputs
    for layer in layers:
        values = layer(values)
    return keras.Model(inputs, values)


def scaled_by_a_layer() -> keras.Model:
    return functional(ScalingLayer(), keras.layers.Dense(2, activation="softmax"))


def normalised() -> keras.Model:
    return functional(keras.layers.Normalization(), keras.layers.Dense(2, activation="softmax"))


def heads(**names: int) -> keras.Model:
    inputs = keras.Input((4,), name="x")
    dense = partial(keras.layers.Dense, activation="softmax")
    return keras.Model(inputs, {k: dense(n, name=k)(inputs) for k, n in names.items()})


def recurrent() -> keras.Model:
    inputs = keras.Input((4,), name="x", batch_size=32)
    values = keras.layers.Reshape((4, 1))(inputs)
    values = keras.layers.GRU(4, stateful=True)(values)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(values))


REFUSED: dict[str, Any] = {
    "attribute": (Scaled, Classes, Adam, {}, r"^model.net(\.\w+)?.mean.*: changed in training"),
    "layer's": (scaled_by_a_layer, Classes, Adam, {}, r"^model.net.scaling_layer.mean: changed"),
    "fit": (OwnFit, Classes, Adam, {}, r"^model.net: OwnFit defines fit, which"),
    "stateful": (recurrent, Classes, Adam, {}, r"^model.net: gru: found stateful=True"),
    "column": (
        *(partial(Net, 1, None), Difference, Adam, NUMBERS),
        r"^model.loss: is as large whichever .* \(rows, 1\), the target \(rows,\)",
    ),
    "columns": (
        *(Net, Classes, Adam, {"target": THREE, "classes": 3}),
        r"^model, in step: InvalidArgumentError: .*2 is not in \[0, 2\)",
    ),
    "dict": (
        *(partial(heads, zeta=2, beta=3), Classes, Adam, {"outputs": ("alpha", "zeta")}),
        r"^model.outputs: found \['alpha', 'zeta'\], but the net returns zeta, beta; name some",
    ),
    "bfloat16": (
        lambda: functional(keras.layers.Dense(2, activation="softmax", dtype="bfloat16")),
        *(Classes, Adam, {}, r"^model.net: its output answer is bfloat16, which numpy"),
    ),
    "loss scale": (
        *(Net, Classes, partial(Adam, loss_scale_factor=8.0), {}),
        r"^model.optimizer: Adam divides gradients by a scale",
    ),
    "loss scale within": (
        *(Net, Classes, lambda: keras.optimizers.LossScaleOptimizer(Adam()), {}),
        r"^model.optimizer: LossScaleOptimizer divides gradients by a scale",
    ),
    "moving averages": (
        *(Net, Classes, partial(Adam, use_ema=True), {}),
        r"^model.optimizer: Adam keeps moving averages",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_trained_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    net, loss, optimizer, settings, expected = REFUSED[case]
    message = fault(framework, "keras", tmp_path, net, loss, optimizer, **settings)
    assert message is not None and "\n" not in message
    assert re.search(expected, message), message


ACCEPTED: dict[str, Any] = {
    "adapted layers": (normalised, Classes, Adam, {}),
    "own step": (OwnStep, Classes, Adam, {}),
    "own loss": (OwnLoss, Classes, Adam, {}),
    "one sigmoid": (
        lambda: functional(keras.layers.Dense(1, activation="sigmoid")),
        *(keras.losses.BinaryCrossentropy, Adam, {"metrics": {"auc": "roc_auc_score"}}),
    ),
    "one logit": (
        lambda: functional(keras.layers.Dense(1)),
        *(partial(keras.losses.BinaryCrossentropy, from_logits=True), Adam, {}),
    ),
    "a column that Keras squeezes": (
        *(partial(Net, 1, None), keras.losses.MeanSquaredError, Adam, NUMBERS),
    ),
    "a dict in another order": (
        *(partial(heads, zeta=3, alpha=2), Classes, Adam, {"outputs": ("alpha", "zeta")}),
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_can_be_trained_is_not_refused(case: str, tmp_path: Path) -> None:
    net, loss, optimizer, settings = ACCEPTED[case]
    assert fault(framework, "keras", tmp_path, net, loss, optimizer, **settings) is None
    assert tf.executing_eagerly()
