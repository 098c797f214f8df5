"""What is computed with a Keras model, as functions for TensorFlow to trace."""

from collections.abc import Callable, Mapping
from typing import Any

from ._keras_import import keras, tf


def stepping(model: keras.Model, clip_norm: float | None) -> Callable[..., tf.Tensor]:
    """Returns the function that takes one step, and whose result is the step's loss."""

    def step(inputs: Any, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = listed(model(inputs, training=True))
            loss = model.compute_loss(inputs, target, outputs[0], training=True)
        weights = model.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        model.optimizer.apply(gradients, weights)
        return loss

    return step


def answering(model: keras.Model) -> Callable[..., Any]:
    """Returns the function from inputs to outputs in evaluation mode, and NaN for a loss."""
    return lambda inputs: (listed(model(inputs, training=False)), float("nan"))


def judging(model: keras.Model) -> Callable[..., Any]:
    """Returns the function from inputs and target to outputs and loss in evaluation mode."""

    def judged(inputs: Any, target: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        outputs = listed(model(inputs, training=False))
        return outputs, model.compute_loss(inputs, target, outputs[0], training=False)

    return judged


def listed(outputs: Any) -> list[Any]:
    """Returns them in the order of model.outputs; the first is judged by the loss."""
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def tensors(inputs: Mapping[str, Any], rows: Any) -> Any:
    """Returns these rows as the model is called with them."""
    return one_or_all({k: tf.convert_to_tensor(v[rows]) for k, v in inputs.items()})


def one_or_all(inputs: Mapping[str, Any]) -> Any:
    """A model is called with its only input, or with a dict by name."""
    return dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))
