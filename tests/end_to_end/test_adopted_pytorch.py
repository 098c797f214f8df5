"""What PyTorch's users save, by the libraries that they save it with and where this project is not,
is taken over bit for bit, and trains on as it would have there."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn, optim
from torch.export.pt2_archive._package import load_pt2

from models.torch_mlp import TorchMLP
from pipeline import foreign
from pipeline.foreign.lazy_mapping import LazyMapping
from pipeline.foreign.matching import match
from pipeline.foreign.pickled import extract
from pipeline.frameworks import pytorch as framework
from testing import elsewhere
from testing.parts import parts
from testing.project import Project, make_project
from tests.foreign.programs import answers

INPUTS = {"pixels": {"dtype": "float32", "shape": [64]}}
WEIGHTS = ("bare.pth", "one.safetensors", "sharded", "whole.pt")
TRAININGS = {
    "training.pth": "script_after.npz",
    "distributed": "script_after.npz",
    "lightning/last.ckpt": "lightning_after.npz",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elsewhere.made(tmp_path_factory, "pytorch")


def started(path: Path) -> Any:
    """A training of the project's own class, from the checkpoint with all that it has."""
    checkpoint = foreign.read(path)
    framework.configure(1)
    framework.seed(9)
    net = partial(TorchMLP, 64, 64, 10)
    chosen = parts(net, nn.CrossEntropyLoss, partial(optim.Adam, lr=0.1), None, INPUTS)
    training = framework.build(chosen)
    specs = framework.weight_specs(training, checkpoint.naming)
    matched = match(specs, checkpoint.weights)
    weights = LazyMapping(matched.pairs, checkpoint.weights.__getitem__)
    framework.start(training, checkpoint.naming, weights, checkpoint.optimizer, None)
    return training


def demand_equal(state: Any, expected: Any) -> None:
    names = {name.removeprefix("net."): name for name in expected}
    assert state.keys() == names.keys()
    for name, each in state.items():
        assert each.detach().numpy().tobytes() == np.asarray(expected[names[name]]).tobytes()


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_taken_over_bit_for_bit(made: Path, tmp_path: Path, name: str) -> None:
    path = made / name
    if name == "whole.pt":  # its class was in the script, which is nowhere to be found
        path = tmp_path / name
        extract(made / name, path)
    demand_equal(started(path).net.state_dict(), load_file(made / "one.safetensors"))


@pytest.mark.parametrize("name", TRAININGS)
def test_three_more_steps_equal_those_of_the_script(made: Path, name: str) -> None:
    training = started(made / name)
    inputs, targets, batches = elsewhere.stacked()
    for rows in batches:
        framework.step(training, inputs, targets, rows)
    with np.load(made / TRAININGS[name]) as after:
        demand_equal(training.net.state_dict(), after)


def test_a_folder_of_save_pretrained_is_taken_over_with_its_class(made: Path) -> None:
    from models.hugging_face import from_config

    checkpoint = foreign.read(made / "hugging_face")
    config = {
        name.removeprefix("net.config."): value
        for name, value in checkpoint.model.items()
        if name.startswith("net.config.")
    }
    net = from_config(checkpoint.model["net.architecture"], config)
    expected = load_file(made / "hugging_face/model.safetensors")
    assert net.state_dict().keys() == checkpoint.weights.keys() == expected.keys()
    assert all(torch.equal(checkpoint.weights[name], each) for name, each in expected.items())


@pytest.mark.parametrize("name", ["program.pt2", "onnx"])
def test_a_program_answers_as_its_net_did(made: Path, tmp_path: Path, name: str) -> None:
    port = foreign.read(made / name).program
    assert port is not None
    with np.load(made / "answers.npz") as file:
        given = {next(iter(port.inputs)): file["pixels"]}
        answered = answers(
            made / name, tmp_path / "program", given, {"a": next(iter(port.outputs))}
        )
        np.testing.assert_allclose(answered["a"], file["logits"], rtol=1e-5, atol=1e-5)


def test_lightnings_checkpoint_is_a_verified_complete_model_that_trains_on_as_there(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)  # else no parent takes it
    project: Project = make_project(tmp_path / "project")
    overrides = ("model=torch_mlp", "data=digits", "experiment=smoke", "export.attempt=[]")
    path = str(made / "lightning/last.ckpt")
    done = project.run("python", "-m", "pipeline.adopt", path, *overrides)
    assert "verified: passed" in done.stdout
    folder = project.root / "artifacts/complete-model"
    train: Any = load_pt2(folder / "model.pt2").exported_programs["train"].module()
    weights = dict(train.named_parameters())
    saved = torch.load(folder / "optimizer.pt", weights_only=True)
    groups = [{"params": [weights[name] for name in names]} for names in saved["params"]]
    optimizer = torch.optim.Adam(groups, **saved["arguments"])
    optimizer.load_state_dict(saved["state"])
    for pixels, labels in elsewhere.batches():
        train.zero_grad()
        train(torch.from_numpy(pixels), torch.from_numpy(labels)).backward()
        optimizer.step()
    with np.load(made / "lightning_after.npz") as after:
        demand_equal(train.state_dict(), after)
