"""A model of two targets, that returns more than its outputs, trains on in every format that does.

Its loss has two terms, or is its own.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.frameworks import keras as framework
from pipeline.frameworks import pytorch
from pipeline.frameworks.contract import Term
from testing.formats import form as plugin
from testing.parts import parts
from tests.formats.conftest import specs_of

import keras  # isort: skip  # by now the framework has chosen the backend

RANDOM = np.random.default_rng(0)
ROWS = 20
INPUTS = {
    "pixels": RANDOM.normal(size=(ROWS, 4)).astype(np.float32),
    "trust": RANDOM.uniform(size=(ROWS, 4)).astype(np.float32),
}
TRUE = {
    "kind": RANDOM.integers(0, 3, ROWS),
    "size": RANDOM.normal(size=(ROWS, 1)).astype(np.float32),
}
OUTPUTS = ["height", "logits"]
"""Neither all that the nets return, nor in their order."""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kind, self.tall = nn.Linear(4, 3), nn.Linear(4, 1)

    def forward(self, pixels: Tensor, trust: Tensor) -> dict[str, Tensor]:
        height = self.tall(pixels * trust)
        return {"logits": self.kind(pixels), "height": height, "total": pixels.sum(1)}


class Judging(Net):
    """It computes its loss where it is given the targets."""

    def forward(self, pixels: Tensor, trust: Tensor, kind: Any = None, size: Any = None) -> Any:
        answers = super().forward(pixels, trust)
        if kind is None:
            return answers
        apart = ((answers["height"] - size) ** 2).mean()
        return answers | {"loss": nn.functional.cross_entropy(answers["logits"], kind) + apart}


class Trusting(nn.Module):
    """Gets what its parameters name: an output, a target, an input."""

    def forward(self, height: Tensor, size: Tensor, trust: Tensor) -> Tensor:
        return ((height - size) ** 2 * trust).mean()


def of_torch(own: bool) -> tuple[Any, Any]:
    terms = {
        "model.loss.kind": Term(loss=nn.CrossEntropyLoss, compares=("logits", "kind")),
        "model.loss.size": Term(loss=Trusting, weight=0.3),
    }
    net, loss = (Judging, "loss") if own else (Net, terms)
    return pytorch, built(pytorch, net, loss, torch.optim.Adam)


def of_keras(own: bool) -> tuple[Any, Any]:
    losses, layers = keras.losses, keras.layers

    class Judging(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.kind, self.tall = layers.Dense(3, activation="softmax"), layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            answers = {"logits": self.kind(inputs["pixels"]), "height": self.tall(inputs["trust"])}
            return answers | {"total": inputs["pixels"] + 1}

        def compute_loss(self, x: Any, y: Any, y_pred: Any, training: bool = True) -> Any:
            apart = losses.SparseCategoricalCrossentropy()(y["kind"], y_pred["logits"])
            return apart + losses.MeanSquaredError()(y["size"], y_pred["height"])

    def net() -> Any:
        pixels, trust = (keras.Input((4,), name=name) for name in INPUTS)
        kind = layers.Dense(3, activation="softmax", kernel_regularizer="l2")(pixels)
        answers = {"logits": kind, "height": layers.Dense(1)(pixels * trust), "total": pixels + 1}
        return keras.Model({"pixels": pixels, "trust": trust}, answers)

    cross_entropy, squared = losses.SparseCategoricalCrossentropy, losses.MeanSquaredError
    terms = {
        "model.loss.kind": Term(loss=cross_entropy, compares=("logits", "kind")),
        "model.loss.size": Term(loss=squared, compares=("height", "size"), weight=0.3),
    }
    parts_of = (Judging, None) if own else (net, terms)
    return framework, built(framework, *parts_of, keras.optimizers.Adam)


def built(framework: Any, net: Any, loss: Any, optimizer: Any) -> Any:
    """Returns the training, a step behind it."""
    framework.configure(1)
    framework.seed(1)
    described = {"outputs": OUTPUTS, "targets": specs_of(TRUE)}
    made = framework.build(parts(net, loss, optimizer, None, specs_of(INPUTS), **described))
    framework.step(made, INPUTS, TRUE, np.arange(10))
    return made


FORMATS = {"torch_export": of_torch, "onnx_train": of_torch, "saved_model": of_keras}
LARGEST = {"torch_export": 0.0, "onnx_train": 1e-6, "saved_model": 0.0}


@pytest.mark.parametrize("own", [False, True], ids=["terms", "own loss"])
@pytest.mark.parametrize("name", FORMATS)
def test_it_goes_on_as_the_source_does(
    name: str, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, (framework, training) = plugin(name), FORMATS[name](own)
    model = framework.predictor(training, INPUTS)
    form.export(model, INPUTS, OUTPUTS, tmp_path, training, TRUE, 7)
    trainer = form.load_training(tmp_path)
    framework.seed(7, training)

    def demand_close(found: Any, expected: Any) -> None:
        np.testing.assert_allclose(found, expected, rtol=0, atol=LARGEST[name])

    losses = []
    for rows in (np.arange(ROWS), np.arange(7)):
        batch, true = ({k: v[rows] for k, v in each.items()} for each in (INPUTS, TRUE))
        losses.append(float(framework.step(training, INPUTS, TRUE, rows)))
        demand_close(trainer.step(batch, true), losses[-1])
    expected, loss = framework.evaluate(training, INPUTS, TRUE)
    found = trainer.predict(INPUTS)
    assert list(found) == list(expected) == OUTPUTS
    for each in OUTPUTS:
        demand_close(found[each], expected[each])
    if hasattr(trainer, "evaluate"):
        demand_close(trainer.evaluate(INPUTS, TRUE)[1], np.float32(loss))
    state = framework.state(training)
    assert set(trainer.state()) == set(state)
    for key, array in trainer.state().items():
        demand_close(array, state[key])
    told = said_by_card(form, losses, tmp_path, monkeypatch)
    assert told == pytest.approx(losses, abs=2e-6)


def said_by_card(
    form: Any, losses: list[float], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Returns the losses that the card's lines print."""
    rows = np.concatenate([np.arange(ROWS), np.arange(7)])
    arrays = {f"input.{key}": array[rows] for key, array in INPUTS.items()}
    arrays |= {f"target.{key}": array[rows] for key, array in TRUE.items()}
    (directory / "examples").mkdir()
    step = np.repeat([0, 1], [ROWS, 7])
    ends = np.array([False, False])
    np.savez(directory / "examples/training.npz", step=step, loss=losses, ends_epoch=ends, **arrays)
    np.savez(directory / "examples/one.npz", **{f"input.{k}": v[:1] for k, v in INPUTS.items()})
    monkeypatch.chdir(directory)
    printed: list[str] = []
    card = form.training_card([*INPUTS], OUTPUTS, [f"target.{key}" for key in TRUE], Path())
    exec(card, {"print": printed.append})
    return [float(line.split()[1].rstrip(",")) for line in printed]
