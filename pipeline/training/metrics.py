"""The metrics that the configuration names, on the first output of a model."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.config.component import component
from pipeline.config.reading import Component
from pipeline.config.targets import Kind
from pipeline.errors import ParamsError
from pipeline.training.decision import Decision

FUNCTION = Kind(packages=("sklearn.metrics",), bases=())
LABELS, PROBABILITIES = ("y_pred", "labels_pred", "y2"), ("y_score", "y_proba")
"""What sklearn's functions call their second argument."""


def score(
    metrics: Mapping[str, Component], target: np.ndarray, output: np.ndarray, decision: Decision
) -> dict[str, float]:
    """Name -> value; target (rows,), output (rows, classes), or (rows,) for regression and, with a
    threshold, for two classes. Raises ParamsError for a metric that does not fit."""
    expected, predicted = np.asarray(target), decision.labels(output)
    values = {}
    for name, config in metrics.items():
        function, takes = metric(config, name, decision.classes), _second_argument(config)
        judged = decision.probabilities(output) if takes in PROBABILITIES else predicted
        try:
            values[name] = float(function(expected, judged))
        except (TypeError, ValueError) as fault:
            text = " ".join(str(fault).split())
            raise ParamsError(f"train.metrics.{name}: {config['_target_']}: {text}") from None
    return values


def metric(config: Component, name: str, classes: int | None) -> Callable[..., Any]:
    """Returns the function of what is true and what is answered. Raises ParamsError where that is
    neither a label or value a row nor, of classes, probabilities."""
    key = f"train.metrics.{name}"
    function, takes = component(config, key, FUNCTION), _second_argument(config)
    if takes not in LABELS + (PROBABILITIES if classes else ()):
        answers = "labels and probabilities" if classes else "values"
        raise ParamsError(
            f"{key}: {config['_target_']} judges {takes}, but there are {answers}; choose another"
        )
    if takes in PROBABILITIES and "labels" in _arguments(config) and "labels" not in config:
        return component(Component(config, labels=list(range(classes or 0))), key, FUNCTION)
    return function


def _second_argument(config: Component) -> str:
    return (*_arguments(config), "nothing", "nothing")[1]


def _arguments(config: Component) -> list[str]:
    sklearn = importlib.import_module("sklearn.metrics")
    function = getattr(sklearn, config["_target_"].rpartition(".")[2])
    return list(inspect.signature(function).parameters)
