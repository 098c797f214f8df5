"""The metrics that the configuration names, each on an output and what it is compared with.

They see one batch after the other: a class of torchmetrics or keras.metrics holds what it counts, a
function of sklearn.metrics the decisions of a whole split.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.config.component import component
from pipeline.config.data_params import IGNORED
from pipeline.config.params import Metric
from pipeline.config.reading import Component
from pipeline.config.targets import Kind
from pipeline.errors import ParamsError
from pipeline.training.decision import Decision

FUNCTION = Kind(packages=("sklearn.metrics",), bases=())
STREAMING = {"torchmetrics": "torchmetrics.Metric", "keras": "keras.metrics.Metric"}
"""Package -> the base class of its metrics."""
OF_ANSWERS = Kind(packages=("numpy",), bases=())
LABELS, PROBABILITIES = ("y_pred", "labels_pred", "y2"), ("y_score", "y_proba")
"""What sklearn's functions call their second argument."""
RANKS = ("roc_auc_score", "average_precision_score")
"""Functions that go by the order of the answers alone: a logit does as well as a probability."""
Arrays = Mapping[str, np.ndarray]
Places = np.ndarray | None
Metrics = Mapping[str, Component | Metric]


def is_streaming(config: Component | Metric) -> bool:
    """Returns whether it is a class that sees one batch after the other."""
    return function_of(config)["_target_"].partition(".")[0] in STREAMING


def function_of(config: Component | Metric) -> Component:
    """Returns the function's or class's description."""
    return config.function if isinstance(config, Metric) else config


class Scores:
    """Scores take one batch after the other of what is true and what is answered."""

    def __init__(self, metrics: Metrics, decisions: Mapping[str, Decision]):
        self._scores = {
            name: (_Streamed if is_streaming(config) else _Held)(name, config, decisions[name])
            for name, config in metrics.items()
        }

    def add(self, truths: Arrays, outputs: Arrays, places: Arrays | None = None) -> None:
        """Takes a batch; `truths` are targets and inputs, and `places` says of those that differ in
        length where they have values. Raises ParamsError for a metric that does not fit."""
        for score in self._scores.values():
            target, output = score.decision.target, score.decision.output
            with _translated(score):
                score.add(np.asarray(truths[target]), outputs[output], (places or {}).get(target))

    def values(self) -> dict[str, float]:
        """Returns name -> value. Raises ParamsError for a metric that does not fit."""
        result = {}
        for name, score in self._scores.items():
            with _translated(score):
                result[name] = float(score.value())
        return result


class _Score:
    """A metric with its decision."""

    def __init__(self, name: str, config: Component | Metric, decision: Decision):
        self.key = f"train.metrics.{name}"
        self.config, self.decision = function_of(config), decision
        own = config.decision if isinstance(config, Metric) else None
        self.decide = (
            component(own, f"{self.key}.decision", OF_ANSWERS)
            if isinstance(own, Component)
            else None
        )
        self.metric: Any = metric(config, name, decision.classes)

    def add(self, truth: np.ndarray, answers: np.ndarray, places: Places) -> None: ...

    def value(self) -> Any: ...


class _Held(_Score):
    """A function, and the decisions that it will see."""

    def __init__(self, name: str, config: Component | Metric, decision: Decision):
        super().__init__(name, config, decision)
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self.of_probabilities = _second_argument(self.config) in PROBABILITIES
        self.ranks = self.config["_target_"].rpartition(".")[2] in RANKS

    def add(self, truth: np.ndarray, answers: np.ndarray, places: Places) -> None:
        if self.of_probabilities and self.decision.kind != "value":
            unknown = self.decision.kind == "threshold" and self.decision.threshold is None
            chances = answers if unknown and self.ranks else self.decision.probabilities(answers)
            if self.decision.kind == "threshold":
                self.pairs.append(_where(places, truth, chances.reshape(truth.shape)))
            else:
                labels = _known(places, truth).reshape(-1)
                self.pairs.append((labels[labels >= 0], chances[labels >= 0]))
        else:
            self.pairs.append(self.decision.pairs(truth, answers, self.decide, places))

    def value(self) -> Any:
        truths, decided = zip(*self.pairs, strict=True)
        return self.metric(np.concatenate(truths), np.concatenate(decided))


class _Streamed(_Score):
    """A class that holds what it counts."""

    def __init__(self, name: str, config: Component | Metric, decision: Decision):
        super().__init__(name, config, decision)
        self.metric = self.metric()
        self.is_keras = self.config["_target_"].startswith("keras.")

    def add(self, truth: np.ndarray, answers: np.ndarray, places: Places) -> None:
        if self.decide is not None or self.decision.kind != "value":
            truth, answers = self.decision.pairs(truth, answers, self.decide, places)
        elif self.decision.classes is None:
            truth, answers = _where(places, truth, answers)
        if self.is_keras:
            self.metric.update_state(truth, answers)
            return
        torch = importlib.import_module("torch")
        self.metric.update(torch.tensor(answers), torch.tensor(truth))

    def value(self) -> Any:
        return self.metric.result() if self.is_keras else self.metric.compute()


def _where(places: Places, truth: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is true and answered at these places, and all of it where none are told, or
    where the answers have others."""
    if places is None or answers.shape[: places.ndim] != places.shape:
        return truth, answers
    return truth[places], answers[places]


def _known(places: Places, labels: np.ndarray) -> np.ndarray:
    """Returns labels that are those of no class where a row has no values."""
    if places is None:
        return labels
    return np.where(
        places.reshape(*places.shape, *(1,) * (labels.ndim - places.ndim)), labels, IGNORED
    )


class _translated:  # noqa: N801
    """Raises what a metric raises as ParamsError in one line."""

    def __init__(self, score: _Score):
        self.score = score

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, fault: Any, _: Any) -> None:
        if isinstance(fault, TypeError | ValueError | RuntimeError) and not isinstance(
            fault, ParamsError
        ):
            text = " ".join(str(fault).split())
            raise ParamsError(
                f"{self.score.key}: {self.score.config['_target_']}: {text}"
            ) from None


def score(
    metrics: Metrics,
    decisions: Mapping[str, Decision],
    batches: Iterable[tuple[Arrays, ...]],
) -> dict[str, float]:
    """Returns name -> value over batches of what `Scores.add` takes."""
    scores = Scores(metrics, decisions)
    for batch in batches:
        scores.add(*batch)
    return scores.values()


def demand_metrics(metrics: Metrics, schema: Mapping[str, Any]) -> None:
    """Raises ParamsError for a metric that does not fit what it is compared with."""
    targets = schema["targets"]
    for name, config in metrics.items():
        named = config.target if isinstance(config, Metric) else None
        target = named or next(iter(targets), None)
        metric(config, name, targets.get(target, {}).get("classes"))


def metric(config: Component | Metric, name: str, classes: int | None) -> Callable[..., Any]:
    """Returns the function of what is true and what is answered, or what makes a streaming one.

    Raises ParamsError where a function takes neither a decision a place nor, of classes,
    probabilities.
    """
    key, described = f"train.metrics.{name}", function_of(config)
    if is_streaming(config):
        return component(described, key, _streaming(described, key))
    function, takes = component(described, key, FUNCTION), _second_argument(described)
    if takes not in LABELS + (PROBABILITIES if classes else ()):
        answers = "labels and probabilities" if classes else "values"
        raise ParamsError(
            f"{key}: {described['_target_']} judges {takes}, but there are {answers}; choose "
            "another"
        )
    if takes in PROBABILITIES and "labels" in _arguments(described) and "labels" not in described:
        return component(Component(described, labels=list(range(classes or 0))), key, FUNCTION)
    return function


def _streaming(config: Component, key: str) -> Kind:
    package = config["_target_"].partition(".")[0]
    module, _, base = STREAMING[package].rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), base)
    except ModuleNotFoundError as fault:
        raise ParamsError(
            f"{key}: {config['_target_']} takes {fault.name}, which is not installed; "
            f"pip install {fault.name}"
        ) from None
    return Kind(packages=(package,), bases=(kind,))


def _second_argument(config: Component) -> str:
    return (*_arguments(config), "nothing", "nothing")[1]


def _arguments(config: Component) -> Sequence[str]:
    sklearn = importlib.import_module("sklearn.metrics")
    function = getattr(sklearn, config["_target_"].rpartition(".")[2])
    return list(inspect.signature(function).parameters)
