"""Tiny models of every shape that a format must hold, each exported once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.torch_cnn import TorchCNN
from models.torch_mlp import TorchMLP
from pipeline.frameworks import pytorch
from testing.formats import NAMES
from testing.formats import form as plugin
from testing.parts import parts
from testing.preloaded import torchlib
from testing.shared import shared

FORMATS = NAMES
MODELS = {
    "pytorch": ("mlp", "cnn", "pair"),
    "keras": ("dense", "custom", "functional", "strings"),
}

Arrays = dict[str, np.ndarray]


class Pair(nn.Module):
    """Two inputs of different kinds, two outputs of different kinds, and a weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 20)
        self.norm = nn.BatchNorm1d(20)
        self.register_buffer("scale", torch.arange(20.0), persistent=False)

    def forward(self, token: Tensor, extra: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(self.embedding(token) + extra) * self.scale
        logits = hidden @ self.embedding.weight.T
        return logits, logits.argmax(dim=1)


@dataclass
class Case:
    """A model, how to make its inputs for any number of rows, and its outputs' names."""

    framework: str
    model: Any
    inputs: Callable[[int], Arrays]
    outputs: list[str]

    def eager(self, inputs: Arrays) -> Arrays:
        if self.framework == "keras":
            from testing.keras_models import predicted

            return {self.outputs[0]: predicted(self.model, inputs)}
        with torch.no_grad():
            found = self.model(*(torch.from_numpy(each) for each in inputs.values()))
        found = found if isinstance(found, tuple) else (found,)
        return {name: each.numpy() for name, each in zip(self.outputs, found, strict=True)}


def in_order(names: list[str]) -> list[str]:
    """Each format behind those that it must be written after."""
    order: list[str] = []
    while len(order) < len(names):
        left = [name for name in names if name not in order]
        order += [n for n in left if set(plugin(n).FORMAT.after) & set(names) <= set(order)]
    return order


def trained(model: nn.Module) -> nn.Module:
    """Weights and statistics that are none of them zero or one, so that a lost one shows."""
    generator = torch.Generator().manual_seed(0)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return model.eval()


def pixels(rows: int) -> Arrays:
    return {"pixels": np.random.default_rng(rows).uniform(0, 16, (rows, 64)).astype(np.float32)}


def pair_inputs(rows: int) -> Arrays:
    random = np.random.default_rng(rows)
    extra = random.normal(size=(rows, 20)).astype(np.float32)
    return {"token": random.integers(0, 7, rows), "extra": extra}


def torch_case(name: str) -> Case:
    if name == "pair":
        return Case("pytorch", trained(Pair()), pair_inputs, ["logits", "label"])
    model = TorchMLP(64, 24, 10) if name == "mlp" else TorchCNN(4, 10, 0.3)
    return Case("pytorch", trained(model), pixels, ["logits"])


def keras_case(name: str) -> Case:
    from testing import keras_models

    inputs = partial(keras_models.inputs, name)
    return Case("keras", keras_models.built(name), inputs, ["probabilities"])


TRAINS_ONLY = ("onnx_train",)  # written with a training alone
ELSEWHERE = {("onnx_train", "cnn")}  # test_onnx_train.py has nets with dropout


class FirstOutput(nn.Module):
    """Cross-entropy of the first output."""

    def forward(self, outputs: Any, target: Tensor) -> Tensor:
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        return nn.functional.cross_entropy(logits, target)


KIND = {"kind": {"dtype": "int64", "shape": []}}
"""The only target of these trainings."""


def specs_of(inputs: Arrays) -> dict[str, Any]:
    """Returns dtype and the shape of a row by name."""
    return {k: {"dtype": str(each.dtype), "shape": each.shape[1:]} for k, each in inputs.items()}


def training_of(case: Case) -> pytorch.Training:
    """Returns one that Adam begins."""
    inputs = specs_of(case.inputs(1))
    adam, outputs = torch.optim.Adam, case.outputs
    return pytorch.build(
        parts(lambda: case.model, FirstOutput, adam, None, inputs, outputs=outputs, targets=KIND)
    )


def write(form: str, case: Case, directory: Path, rows: int = 5) -> None:
    """As the pipeline does, with a training where the format is for nothing else."""
    given: dict[str, Any] = {}
    if form in TRAINS_ONLY:
        given["training"] = training_of(case)
        given["targets"] = {"kind": np.arange(rows) % 7}
    plugin(form).export(case.model, case.inputs(rows), case.outputs, directory, **given)


def holds(form: str, model: str) -> bool:
    framework = any(model in MODELS[each] for each in plugin(form).FORMAT.frameworks)
    return framework and (form, model) not in ELSEWHERE


class Cases(dict[str, Case]):
    """By the model's name, each made when it is asked for: a framework takes seconds to import."""

    def __missing__(self, name: str) -> Case:
        self[name] = torch_case(name) if name in MODELS["pytorch"] else keras_case(name)
        return self[name]


@dataclass
class Exported:
    """exported / <model>: a directory with every format that holds it, and examples/one.npz as a
    complete model has it; made when it is asked for. Read it, do not change it."""

    factory: pytest.TempPathFactory
    cases: Cases

    def __truediv__(self, name: str) -> Path:
        return shared(
            self.factory, f"exported_{name}", lambda directory: self._make(name, directory)
        )

    def _make(self, name: str, directory: Path) -> None:
        (directory / "examples").mkdir()
        case = self.cases[name]
        inputs = case.inputs(1)
        arrays: dict[str, Any] = {f"input.{key}": value for key, value in inputs.items()}
        arrays |= {f"output.{key}": value for key, value in case.eager(inputs).items()}
        np.savez(directory / "examples" / "one.npz", **arrays)
        if case.framework == "keras":  # another process' may have another last bit
            weights = {each.path: np.asarray(each.value) for each in case.model.weights}
            np.savez(_weights_beside(directory), **weights)
        for form in in_order([form for form in FORMATS if holds(form, name)]):
            write(form, case, directory)

    def weights(self, name: str) -> Arrays:
        """Returns those of the Keras model that was exported, by path."""
        with np.load(_weights_beside(self / name)) as arrays:
            return dict(arrays)


def _weights_beside(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.weights.npz")


@pytest.fixture(scope="session")
def keras_cases() -> dict[str, Any]:
    """Returns small Keras models by their kind: testing.keras_cases.Case."""
    from testing.keras_cases import make

    return make()


@pytest.fixture
def translations_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nothing was exported before: torch.onnx says what it misses when it reads them."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    torchlib.once()
    plainly = staticmethod(ONNXRegistry.from_torchlib.plainly)
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", plainly)


@pytest.fixture(scope="session")
def cases() -> Cases:
    return Cases()


@pytest.fixture(scope="session")
def exported(cases: Cases, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory, cases)
