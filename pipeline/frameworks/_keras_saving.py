"""A Keras training in a file, and out of it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import _keras_state, _npz
from ._keras_stored import StoredArrays
from ._keras_training import Training


def save(training: Training, path: Path) -> None:
    """Writes a checkpoint; the same state gives the same bytes, whatever the file is called."""
    _write(_whole(training, _keras_state.views(training.model)), path)


def snapshot(training: Training) -> Callable[[Path], None]:
    """Returns what writes the checkpoint of now: its arrays are copies."""
    return partial(_write, _whole(training, _keras_state.arrays(training.model)))


def _whole(training: Training, arrays: dict[str, Any]) -> dict[str, Any]:
    state = {"epochs": np.int64(training.epochs), **averaged(training, arrays)}
    if training.class_weights is not None:
        state["class_weights"] = np.array(training.class_weights)
    return state


def averaged(training: Training, arrays: dict[str, Any]) -> dict[str, Any]:
    """Returns the arrays of the model's state with those of its averages, where it has any."""
    return training.average.of(arrays) if training.average is not None else arrays


def _write(state: dict[str, Any], path: Path) -> None:
    _npz.write(path, ((name, np.asanyarray(each)) for name, each in state.items()))


def load(training: Training, path: Path) -> None:
    """Reads what `save` wrote. Raises ValueError for another net's file."""
    with np.load(path, allow_pickle=False) as file:
        state: Mapping[str, np.ndarray] = StoredArrays(file)
        training.epochs = int(file["epochs"])
        if training.class_weights is not None:
            training.class_weights = tuple(file["class_weights"].tolist())
        try:
            if training.average is not None:
                state = training.average.restore(dict(state), training.epochs)
            _keras_state.restore(training.model, state)
        except ValueError as fault:
            raise ValueError(f"{path}: of another model: {fault}") from None
    training.programs.clear()
