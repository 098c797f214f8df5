"""What is computed with a Keras model, as functions for TensorFlow to trace."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._keras_import import keras, tf

BEYOND_NUMPY = (
    tf.bfloat16,
    tf.dtypes.experimental.float8_e5m2,
    tf.dtypes.experimental.float8_e4m3fn,
)


def stepping(
    model: keras.Model, names: Sequence[str], clip_norm: float | None
) -> Callable[..., tf.Tensor]:
    """Returns the function that takes one step, and whose result is the step's loss."""

    def step(inputs: Any, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = listed(model(inputs, training=True), names)
            loss = model.compute_loss(inputs, target, outputs[0], training=True)
        weights = model.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        model.optimizer.apply(gradients, weights)
        return loss

    return step


def answering(model: keras.Model, names: Sequence[str]) -> Callable[..., Any]:
    """Returns the function from inputs to outputs in evaluation mode, and NaN for a loss."""
    return lambda inputs: (listed(model(inputs, training=False), names), float("nan"))


def judging(model: keras.Model, names: Sequence[str]) -> Callable[..., Any]:
    """Returns the function from inputs and target to outputs and loss in evaluation mode."""

    def judged(inputs: Any, target: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        outputs = listed(model(inputs, training=False), names)
        return outputs, model.compute_loss(inputs, target, outputs[0], training=False)

    return judged


def listed(returned: Any, names: Sequence[str]) -> list[Any]:
    """Returns what a model returned in the order of `names`, the first of which the loss judges; in
    its own order where none are named.

    Raises ValueError, one line, where it returns other things.
    """
    if isinstance(returned, Mapping):
        if names and set(returned) != set(names):
            raise ValueError(
                f"model.outputs: found {list(names)}, but the net returns {sorted(returned)}; name "
                "each"
            )
        values = [returned[name] for name in names or returned]
    else:
        values = list(returned) if isinstance(returned, tuple | list) else [returned]
    if names and len(values) != len(names):
        raise ValueError(
            f"model.outputs: found {len(names)} names, but the net returns {len(values)} arrays; "
            "name each"
        )
    for index, value in enumerate(values):
        _demand_array(value, f"model.net: its output {names[index] if names else index}")
    return values


def _demand_array(value: Any, what: str) -> None:
    if not tf.is_tensor(value):
        raise ValueError(f"{what} is a {type(value).__name__}, expected a tensor")
    if value.dtype in BEYOND_NUMPY:
        raise ValueError(
            f"{what} is {value.dtype.name}, which numpy does not have; cast it, for instance with "
            'dtype="float32" in the last layer'
        )


def tensors(inputs: Mapping[str, Any], rows: Any) -> Any:
    """Returns these rows as the model is called with them."""
    return one_or_all({k: tf.convert_to_tensor(v[rows]) for k, v in inputs.items()})


def one_or_all(inputs: Mapping[str, Any]) -> Any:
    """A model is called with its only input, or with a dict by name."""
    return dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))
