"""numpy in the place of a framework: softmax regression, one step after the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .contract import Parts

SUFFIX = ".npz"
FAULTS = ()
TRAINS = True
BASES = {"net": object, "loss": object, "optimizer": object, "scheduler": object}
PARTS: Mapping[str, Any] = {"packages": ("numpy",), "parts": ()}

Arrays = Mapping[str, np.ndarray]


@dataclass
class Training:
    net: Any
    loss: Any
    optimizer: Any
    output: str


def configure(threads: int, replicas: int = 1) -> None:
    """Nothing: these sums have one order."""


def seed(value: int, training: Training | None = None, /) -> None:
    """Nothing is drawn."""


def build(parts: Parts) -> Training:
    if parts.scheduler is not None or parts.clip_norm is not None:
        raise ValueError("model.scheduler: arithmetic knows neither schedules nor clipping")
    if not isinstance(parts.loss, Mapping) or len(parts.loss) != 1 or len(parts.targets) != 1:
        raise ValueError("model.loss: arithmetic knows one loss, of one target")
    (term,), (output,) = parts.loss.values(), parts.outputs
    return Training(parts.net(), term.loss(), parts.optimizer(), output)


def adapt(training: Training, inputs: Arrays) -> None:
    """Nothing: there is no preprocessing."""


def step(training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> float:
    (pixels,) = (array[rows] for array in inputs.values())
    (labels,) = (array[rows] for array in targets.values())
    logits = training.net(pixels)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = powers / powers.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    change = pixels.T @ gradient / np.float32(16 * len(labels))
    training.net.weights = training.net.weights - training.optimizer.lr * change
    return float(training.loss(logits, labels))


def end_epoch(training: Training, val_loss: float = float("nan")) -> None:
    """The rate stays."""


def evaluate(
    training: Training, inputs: Arrays, targets: Arrays | None
) -> tuple[dict[str, np.ndarray], float]:
    (pixels,) = inputs.values()
    outputs = {training.output: training.net(np.asarray(pixels))}
    loss = float("nan") if targets is None else loss_of(training, inputs, outputs, targets)
    return outputs, loss


def loss_of(training: Training, inputs: Arrays, outputs: Arrays, targets: Arrays) -> float:
    (labels,) = targets.values()
    return float(training.loss(outputs[training.output], labels))


def state_outside(training: Training) -> dict[str, bytes]:
    return {}


def state(training: Training) -> dict[str, np.ndarray]:
    return {"net/weights": training.net.weights}


def views(training: Training) -> Iterator[tuple[str, np.ndarray]]:
    yield from state(training).items()


def set_weights(training: Training, weights: Arrays) -> None:
    training.net.weights = weights["net/weights"]


def save(training: Training, path: Path) -> None:
    snapshot(training)(path)


def snapshot(training: Training) -> Callable[[Path], None]:
    weights = training.net.weights

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, weights)

    return write


def load(training: Training, path: Path) -> None:
    training.net.weights = np.load(path)


def sources(training: Training) -> list[str]:
    return ["models"]


def randomness(training: Training, /) -> dict[str, np.ndarray]:
    return {}


def set_randomness(training: Training, states: Arrays, /) -> None:
    """There are no states."""


def predictor(training: Training, inputs: Arrays) -> Any:
    return training.net
