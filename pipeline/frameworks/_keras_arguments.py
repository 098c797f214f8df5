"""How arrays by name become what a Keras model is called with, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._keras_import import keras


def known(inputs: Mapping[str, Any], fills: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs with what stands for a missing value in its place."""
    return {
        name: keras.ops.where(keras.ops.isnan(values), fills[name], values)
        if name in fills
        else values
        for name, values in inputs.items()
    }


def one_or_all(arrays: Mapping[str, Any]) -> Any:
    """Returns what a model is called with: its only input, or a dict by name; a loss gets targets
    alike."""
    return dict(arrays) if len(arrays) > 1 else next(iter(arrays.values()))


def named(argument: Any, names: Sequence[str]) -> dict[str, Any]:
    """Returns by name what `one_or_all` made an argument of."""
    return dict(argument) if len(names) > 1 else {names[0]: argument}
