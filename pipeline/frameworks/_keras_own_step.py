"""A Keras model's own `train_step` and `test_step` are called as its `fit` would call them."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import _keras_state
from ._keras_import import keras, tf
from .contract import Parts

STEP, JUDGE = "train_step", "test_step"
JUDGED_AT = (0, 0)
"""State of each generator while a loss is only looked at."""


@dataclass(frozen=True)
class OwnStep:
    """Which of the two a model defines; without them this training takes its own."""

    trains: bool
    judges: bool

    def train(self, model: keras.Model, data: Any) -> Any:
        """Takes the model's own step, in a graph; returns its loss."""
        return _loss(model, STEP, data)

    def judge(self, model: keras.Model, data: Any) -> Any:
        """Returns the loss in evaluation mode, in a graph; what it draws is the same each time, and
        none of the numbers of the steps."""
        with _drawing_alike(model):
            return _loss(model, JUDGE, data)


def own_step(model: keras.Model) -> OwnStep:
    """Returns which of its steps the model defines."""
    return OwnStep(is_own(model, STEP), is_own(model, JUDGE))


def is_own(model: keras.Model, name: str) -> bool:
    """Returns whether a class of the user's defines the method."""
    kind = next(each for each in type(model).__mro__ if name in vars(each))
    return kind.__module__.partition(".")[0] != "keras"


def chooses_loss(model: keras.Model) -> bool:
    """Returns whether the model is compiled by a method of its own that names no loss, as detectors
    of keras_hub: it chooses the loss, and computes it of all its outputs."""
    return "loss" not in inspect.signature(model.compile).parameters


def takes_weights(model: keras.Model) -> bool:
    """Returns whether the model's `compute_loss` names the weights of rows, as `fit` hands them."""
    return "sample_weight" in inspect.signature(model.compute_loss).parameters


def data(inputs: Any, targets: Any, weights: Any = None) -> Any:
    """Returns what `fit` hands to a step: inputs alone, with targets, or with sample weights."""
    return keras.utils.pack_x_y_sample_weight(inputs, targets, weights)


def metric_variables(models: Sequence[keras.Model]) -> list[Any]:
    """Returns the variables of the models' metrics, which are as new between two steps."""
    return [variable for model in models for variable in model.metrics_variables]


def demand_fits(model: keras.Model, own: OwnStep, parts: Parts, terms: Sequence[Any]) -> None:
    """Raises ValueError, one line, where what a step does beside the model's own is not
    possible."""
    if not own.trains:
        return
    name = type(model).__name__
    for key, given, instead in (
        ("clip_norm", parts.clip_norm is not None, "clip with the optimizer's global_clipnorm"),
        (
            "accumulate",
            parts.accumulation.batches > 1,
            "accumulate with the optimizer's gradient_accumulation_steps",
        ),
    ):
        if given:
            raise ValueError(
                f"train.{key}: found one, but {name} takes its gradient itself, in {STEP}; leave "
                f"it out, and {instead}"
            )
    if parts.precision == "float16":
        raise ValueError(
            f"train.precision: found float16, but {name} takes its gradient itself, in {STEP}, of "
            "a loss that nothing scales; set bfloat16, or float32"
        )
    if terms:
        raise ValueError(
            f"model.loss: found terms, but {name} takes its step itself, in {STEP}; expected one "
            "loss for its compute_loss, or null"
        )


def _loss(model: keras.Model, method: str, data: Any) -> Any:
    """Returns the loss that a step returns. Metrics are as new afterwards, so that what they say is
    of this batch alone."""
    returned = getattr(model, method)(data)
    loss: Any = returned.get("loss") if isinstance(returned, Mapping) else returned
    if not tf.is_tensor(loss) or loss.shape.rank != 0:
        raise ValueError(
            f"model.net: the {method} of {type(model).__name__} returned {_described(returned)}, "
            "expected its loss as 'loss' in a dict, one number"
        )
    loss = tf.identity(loss)
    for metric in model.metrics:
        metric.reset_state()
    return loss


def _described(returned: Any) -> str:
    if isinstance(returned, Mapping) and "loss" in returned:
        return f"a loss that is {_described(returned['loss'])}"
    if isinstance(returned, Mapping):
        return f"a dict of {', '.join(map(str, returned)) or 'nothing'}"
    if tf.is_tensor(returned):
        return f"a tensor of shape {returned.shape}"
    return "nothing" if returned is None else f"a {type(returned).__name__}"


@contextmanager
def _drawing_alike(model: keras.Model) -> Iterator[None]:
    seeds = _keras_state.seeds(model)
    before = [tf.identity(seed.value) for seed in seeds]
    for seed in seeds:
        seed.assign(tf.constant(JUDGED_AT, seed.value.dtype))
    yield
    for seed, state in zip(seeds, before, strict=True):
        seed.assign(state)
