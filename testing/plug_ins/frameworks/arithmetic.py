"""numpy in the place of a framework: softmax regression, one step after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SUFFIX = ".npz"
FAULTS = ()
BASES = {"net": object, "loss": object, "optimizer": object, "scheduler": object}
PARTS: Mapping[str, Any] = {"packages": ("numpy",), "parts": ()}

Arrays = Mapping[str, np.ndarray]


@dataclass
class Training:
    net: Any
    loss: Any
    optimizer: Any


def configure(threads: int) -> None:
    """Nothing: these sums have one order."""


def seed(value: int, training: Training | None = None, /) -> None:
    """Nothing is drawn."""


def build(
    net: Callable[..., Any],
    loss: Callable[..., Any],
    optimizer: Callable[..., Any],
    scheduler: Callable[..., Any] | None,
    inputs: Mapping[str, Mapping[str, Any]],
    device: str,
    clip_norm: float | None,
    outputs: Sequence[str] = (),
) -> Training:
    if scheduler is not None or clip_norm is not None:
        raise ValueError("model.scheduler: arithmetic knows neither schedules nor clipping")
    return Training(net(), loss(), optimizer())


def adapt(training: Training, inputs: Arrays) -> None:
    """Nothing: there is no preprocessing."""


def step(training: Training, inputs: Arrays, target: np.ndarray, rows: np.ndarray) -> float:
    (pixels,) = (array[rows] for array in inputs.values())
    logits, labels = training.net(pixels), target[rows]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = powers / powers.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    change = pixels.T @ gradient / np.float32(16 * len(labels))
    training.net.weights = training.net.weights - training.optimizer.lr * change
    return float(training.loss(logits, labels))


def end_epoch(training: Training, val_loss: float = float("nan")) -> None:
    """The rate stays."""


def predict(
    training: Training, inputs: Arrays, target: np.ndarray | None, batch_size: int
) -> tuple[list[np.ndarray], float]:
    (pixels,) = inputs.values()
    logits = training.net(np.asarray(pixels))
    return [logits], float("nan") if target is None else training.loss(logits, np.asarray(target))


def loss_of(
    training: Training, inputs: Arrays, outputs: Sequence[np.ndarray], target: np.ndarray
) -> float:
    return float(training.loss(outputs[0], target))


def state_outside(training: Training) -> dict[str, bytes]:
    return {}


def state(training: Training) -> dict[str, np.ndarray]:
    return {"net/weights": training.net.weights}


def set_weights(training: Training, weights: Arrays) -> None:
    training.net.weights = weights["net/weights"]


def save(training: Training, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, training.net.weights)


def load(training: Training, path: Path) -> None:
    training.net.weights = np.load(path)


def sources(training: Training) -> list[str]:
    return ["models"]


def randomness(training: Training, /) -> dict[str, np.ndarray]:
    return {}


def set_randomness(training: Training, states: Arrays, /) -> None:
    """There are no states."""


def predictor(training: Training) -> Any:
    return training.net
