"""Predictions are of what a metric judges; what no loss decides is in no file."""

import numpy as np
import torch
from torch import Tensor, nn, optim

from pipeline.config.params import Metric, Model
from pipeline.config.reading import Component
from pipeline.frameworks import pytorch
from pipeline.training.deciding import Deciding
from testing.parts import parts
from testing.training import settings_of

ROWS = {"x": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)}
DESCRIBED = {"x": {"dtype": "float32", "shape": [4]}}
ACCURACY = Component(_target_="sklearn.metrics.accuracy_score")


class Two(nn.Module):
    """Two outputs of one shape, of which the second answers the target."""

    def __init__(self, size: int):
        super().__init__()
        self.beside, self.answer = nn.Linear(4, size), nn.Linear(4, size)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"beside": self.beside(x), "answer": self.answer(x)}


class OfAnswer(nn.Module):
    """A loss that tells nothing of a threshold: it is the same for both classes."""

    def forward(self, answer: Tensor, label: Tensor) -> Tensor:
        return (answer**2).mean() + 0 * label.float().mean()


def deciding(size: int, classes: int, metrics: dict[str, Component | Metric]) -> Deciding:
    labels = {"label": np.arange(6) % classes}
    of_label = {"dtype": "int64", "shape": [], "classes": classes, "labels": None}
    loss = OfAnswer if size == 1 else lambda: OfClasses()
    pytorch.configure(1)
    torch.manual_seed(0)
    made = parts(
        lambda: Two(size),
        loss,
        lambda weights: optim.SGD(weights, lr=0.1),
        None,
        DESCRIBED,
        outputs=("beside", "answer"),
        targets={"label": of_label},
    )
    model = Model(
        name="two",
        framework="pytorch",
        net=ACCURACY,
        loss=ACCURACY,
        augment=None,
        rename={},
        program=None,
        libraries=(),
        weights_of=None,
        optimizer=ACCURACY,
        scheduler=None,
        outputs=("beside", "answer"),
        formats=(),
    )
    schema = {"inputs": DESCRIBED, "targets": {"label": of_label}}
    train = settings_of(metrics=metrics)
    return Deciding(pytorch.build(made), model, train, schema, ROWS, labels)


class OfClasses(nn.Module):
    def forward(self, answer: Tensor, label: Tensor) -> Tensor:
        return nn.functional.cross_entropy(answer, label)


def test_predictions_are_of_the_output_that_a_metric_judges() -> None:
    of_answer = Metric(function=ACCURACY, output="answer", target="label")
    tried = deciding(3, 3, {"accuracy": of_answer})
    predictions = tried.of_predictions(tried.of_metrics())
    assert predictions is not None and predictions.output == "answer"


def test_without_a_metric_the_first_output_that_fits_is_predicted() -> None:
    predictions = deciding(3, 3, {}).of_predictions({})
    assert predictions is not None and predictions.output == "beside"


def test_what_no_loss_decides_is_not_predicted_after_an_hour_of_training() -> None:
    """A metric that says the threshold makes up for it."""
    assert deciding(1, 2, {}).of_predictions({}) is None
    stated = Metric(function=ACCURACY, output="answer", decision=0.0)
    tried = deciding(1, 2, {"accuracy": stated})
    predictions = tried.of_predictions(tried.of_metrics())
    assert predictions is not None and predictions.threshold == 0.0
