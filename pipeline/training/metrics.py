"""The metrics that the configuration names, on the first output of a model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.config.component import component
from pipeline.config.reading import Component
from pipeline.config.targets import Kind

FUNCTION = Kind(packages=("sklearn.metrics",), bases=())


def labels(output: np.ndarray, classes: int | None) -> np.ndarray:
    """What the metrics see: the label of a row's largest value, or for regression the value."""
    if classes is None:
        return output.reshape(len(output), -1).squeeze(1)
    winners: np.ndarray = output.argmax(axis=1)
    return winners


def score(
    metrics: Mapping[str, Component], target: np.ndarray, output: np.ndarray, classes: int | None
) -> dict[str, float]:
    """Name -> value; target (rows,), output (rows, classes), or (rows,) for regression."""
    predicted = labels(output, classes)
    return {
        name: float(metric(config, name)(np.asarray(target), predicted))
        for name, config in metrics.items()
    }


def metric(config: Component, name: str) -> Callable[..., Any]:
    return component(config, f"train.metrics.{name}", FUNCTION)
