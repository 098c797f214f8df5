"""The average of a Keras model's weights, which predicts, is validated and exported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _keras_state
from ._averaging import Averaging
from ._keras_import import keras, tf


def _count() -> Any:
    return tf.Variable(0, dtype=tf.int64)


@dataclass
class Average:
    """A second model whose floating weights are averages; before the first step that counts, they
    are those of the model that is trained."""

    averaging: Averaging
    model: keras.Model
    inner: keras.Model
    """The model itself, where `model` fills its missing values."""
    epochs: Any = field(default_factory=_count)
    """Trained so far; a variable, as what follows."""
    steps: Any = field(default_factory=_count)
    """Taken in so far."""

    def add(self, trained: keras.Model) -> None:
        """Takes in the weights as they are after a step, in a graph."""
        started = self.epochs + 1 >= self.averaging.start
        copied = tf.logical_or(tf.logical_not(started), self.steps == 0)
        share = 1 / tf.cast(self.steps + 1, tf.float64)
        if self.averaging.kind == "ema":
            share = tf.constant(1 - self.averaging.decay, tf.float64)
        weights = _keras_state.named(trained)
        for name, mine in _keras_state.named(self.model).items():
            its = weights[name].value
            if its.dtype.is_floating:
                step = tf.cast(share, its.dtype) * (its - mine.value)
                mine.assign(tf.where(copied, its, mine.value + step))
            elif not name.endswith("seed_generator_state"):
                mine.assign(its)
        self.steps.assign_add(tf.cast(started, tf.int64))

    def copy(self, trained: keras.Model) -> None:
        """Sets the average to the weights and the preprocessing of the model that is trained."""
        _keras_state.restore(self.model, _of_net(_keras_state.arrays(trained)), alone=True)

    def of(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the state: that of the trained model, whose weights are called trained/<path>,
        with the averages as net/<path>."""
        renamed = {_trained(name): array for name, array in arrays.items()}
        averages = {name: weight.numpy() for name, weight in _keras_state.named(self.model).items()}
        return {**averages, **renamed, "average/steps": np.asarray(self.steps.numpy())}

    def restore(self, state: dict[str, np.ndarray], epochs: int) -> dict[str, np.ndarray]:
        """Takes the averages out of what `of` returned; returns the rest as it was. Raises
        ValueError naming what is lacking."""
        if "average/steps" not in state:
            raise ValueError("the checkpoint lacks average/steps")
        self.steps.assign(state["average/steps"])
        self.epochs.assign(epochs)
        others = {k: v for k, v in _of_net(state).items() if not k.startswith("trained/")}
        _keras_state.restore(self.model, others, alone=True)
        rest = {k: v for k, v in state.items() if not k.startswith(("net/", "average/"))}
        return {f"net/{k[8:]}" if k.startswith("trained/") else k: v for k, v in rest.items()}


def _of_net(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    others = ("optimizer/", "average/")
    return {name: array for name, array in arrays.items() if not name.startswith(others)}


def _trained(name: str) -> str:
    return f"trained/{name.removeprefix('net/')}" if name.startswith("net/") else name
