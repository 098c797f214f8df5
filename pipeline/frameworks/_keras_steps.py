"""What is computed with a Keras model, as functions for TensorFlow to trace."""

from collections.abc import Callable, Mapping
from typing import Any

from ._keras_arguments import named, one_or_all
from ._keras_import import tf
from ._keras_training import Training

Function = Callable[..., Any]


def stepping(training: Training) -> Function:
    """Returns the function that takes one step, and whose result is the step's loss."""
    return lambda inputs, *targets: training.take_step(*_by_name(training, inputs, targets))


def answering(training: Training) -> Function:
    """Returns the function from inputs to outputs in evaluation mode, and NaN for a loss."""
    return lambda inputs: (training.answer(named(inputs, list(training.inputs))), float("nan"))


def judging(training: Training) -> Function:
    """Returns the function from inputs and targets to outputs and loss in evaluation mode."""
    return lambda inputs, *targets: training.judge(*_by_name(training, inputs, targets))


def arguments(inputs: Mapping[str, Any], targets: Mapping[str, Any]) -> list[Any]:
    """Returns what these functions are called with; without targets there is one argument."""
    return [one_or_all(inputs), *([one_or_all(targets)] if targets else [])]


def _by_name(training: Training, inputs: Any, targets: tuple[Any, ...]) -> tuple[Any, Any]:
    of_targets = named(targets[0], list(training.targets)) if targets else {}
    return named(inputs, list(training.inputs)), of_targets


def tensors(arrays: Mapping[str, Any], rows: Any = ...) -> dict[str, tf.Tensor]:
    """Returns these rows of each as tensors."""
    return {name: tf.convert_to_tensor(array[rows]) for name, array in arrays.items()}
