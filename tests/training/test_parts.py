"""What the parts of a training must be called, whatever they are."""

import dataclasses
from typing import Any

import pytest

from pipeline.config.params import Model
from pipeline.config.reading import Component
from pipeline.errors import ParamsError
from pipeline.training.parts import build
from testing.training import settings_of


def model(*outputs: str) -> Model:
    parts = {
        "net": {"_target_": "torch.nn.Linear", "in_features": 4, "out_features": 1},
        "loss": {"_target_": "torch.nn.MSELoss"},
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
    }
    named: dict[str, Any] = {key: Component(part) for key, part in parts.items()}
    fixed = {
        "name": "line",
        "framework": "pytorch",
        "scheduler": None,
        "formats": (),
        "augment": None,
        "rename": {},
        "weights_of": None,
        "program": None,
        "libraries": (),
    }
    return Model(**named, **fixed, outputs=outputs)


@pytest.mark.parametrize(
    ("target", "where"), [("level", "model.outputs"), ("input", "data.inputs")]
)
def test_a_target_has_a_name_of_its_own(target: str, where: str) -> None:
    """A loss would compare it with itself, and be 0."""
    numbers = {"dtype": "float32", "shape": []}
    inputs = {"input": {"dtype": "float32", "shape": [4]}}
    apart = {"inputs": inputs, "targets": {"height": numbers}}
    assert build(model("level"), settings_of(), apart, "cpu").targets == ("height",)
    with pytest.raises(ParamsError, match=rf"^data.targets.{target}: found the name in {where}"):
        build(model("level"), settings_of(), apart | {"targets": {target: numbers}}, "cpu")


def test_an_output_has_another_name_than_an_input() -> None:
    data = {
        "inputs": {"level": {"dtype": "float32", "shape": [4]}},
        "targets": {"height": {"dtype": "float32", "shape": []}},
    }
    with pytest.raises(ParamsError, match=r"^model.outputs.level: found the name in data.inputs"):
        build(model("level"), settings_of(), data, "cpu")


@pytest.mark.parametrize("name", ["os", "torch", "hydra.utils", "pipeline", "trans-formers", ""])
def test_what_is_no_library_of_models_is_not_listed(name: str) -> None:
    """Python's own modules start programs, and hydra.utils makes anything that is named."""
    with pytest.raises(ParamsError, match=rf"^model.libraries: found '?{name}'?, expected a "):
        dataclasses.replace(model("level"), libraries=(name,))
    assert dataclasses.replace(model("level"), libraries=("timm",)).libraries == ("timm",)
