"""A checkpoint that was made elsewhere becomes a complete model in one command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline import provenance
from pipeline.config.yaml_text import load_yaml
from pipeline.provenance import lineage
from testing.project import TINY, Project, make_project

DIGITS = ("model=torch_mlp", "data=digits", *TINY[:2])
STAGES = ("prepare", "train", "checkpoint", "export-complete")
LR = 0.002


def script(directory: Path, steps: int = 5) -> dict[str, Any]:
    """The loop of somebody who has never heard of this project: another learning rate, momentum in
    another state, a name before every weight. Returns the net and what went on after saving."""
    from models.torch_mlp import TorchMLP

    torch.manual_seed(5)
    net = TorchMLP(64, 64, 10)
    generator = np.random.default_rng(5)
    net.adapt(generator.uniform(0, 16, (100, 64)).astype(np.float32))
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)

    def step(seed: int) -> None:
        batch = np.random.default_rng(seed)
        pixels = torch.from_numpy(batch.uniform(0, 16, (8, 64)).astype(np.float32))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(pixels), torch.arange(8)).backward()
        optimizer.step()

    for seed in range(steps):
        step(seed)
    weights = {f"module.{name}": tensor.clone() for name, tensor in net.state_dict().items()}
    states = {"optimizer_state_dict": optimizer.state_dict(), "epoch": 7, "lr": LR}
    torch.save({"model_state_dict": weights, **states}, directory / "best.pth")
    return {"weights": weights, "step": step, "net": net}


def adopted(project: Project, *overrides: str) -> Project:
    """By the command, but for DVC, whose stages are run one by one."""
    write = """
import sys
from pathlib import Path
from pipeline.adopt import adopt, take_in
from pipeline.config.merge import composed
from pipeline.config.yaml_text import dump_yaml
digest, checkpoint = take_in(Path(sys.argv[1]))
values, _ = composed(Path("conf"), sys.argv[2:])
adopt(values, sys.argv[2:], digest, checkpoint)
Path("params.yaml").write_text(dump_yaml(values))
"""
    project.script(write, *overrides, parent="pytorch")
    for name in STAGES:
        project.stage(name)
    return project


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("elsewhere")
    return directory / "best.pth", script(directory)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, elsewhere: tuple[Path, dict[str, Any]]
) -> Project:
    """What the one command leaves."""
    project = make_project(tmp_path_factory.mktemp("adopting") / "project")
    done = project.run("python", "-m", "pipeline.adopt", str(elsewhere[0]), *DIGITS)
    assert "verified: passed" in done.stdout
    return project


def complete(project: Project) -> Path:
    return project.root / "artifacts/complete-model"


def test_the_answers_are_those_of_the_checkpoint_bit_for_bit(
    project: Project, elsewhere: tuple[Path, dict[str, Any]]
) -> None:
    from models.torch_mlp import TorchMLP

    net = TorchMLP(64, 64, 10)
    weights = torch.load(elsewhere[0], weights_only=True)["model_state_dict"]
    net.load_state_dict({name.removeprefix("module."): each for name, each in weights.items()})
    program = torch.export.load(complete(project) / "model.pt2").module()
    pixels = torch.from_numpy(np.load(complete(project) / "examples/seven.npz")["input.pixels"])
    assert torch.equal(program(pixels), net.eval()(pixels))


def test_the_optimizer_came_along(project: Project, elsewhere: tuple[Path, dict[str, Any]]) -> None:
    saved = torch.load(complete(project) / "optimizer.pt", weights_only=True)
    slots = torch.load(elsewhere[0], weights_only=True)["optimizer_state_dict"]["state"]
    assert saved["state"]["param_groups"][0]["lr"] == LR
    for number, slot in saved["state"]["state"].items():
        assert torch.equal(slot["exp_avg"], slots[number]["exp_avg"])
        assert slot["step"] == 5


def test_dvc_has_nothing_to_do_afterwards_and_a_change_of_formats_needs_no_command(
    project: Project,
) -> None:
    assert "up to date" in project.run("dvc", "repro").stdout
    params = project.root / "params.yaml"
    before = params.read_text()
    values = load_yaml(before, "params.yaml")
    assert (values["train"]["epochs"], values["train"]["start_with"]) == (0, "optimizer")
    params.write_text(before.replace("\n  attempt: []", "\n  attempt: [torch_pickle]"))
    done = project.run("dvc", "repro", "export-complete")
    assert "Stage 'train' didn't change" in done.stdout
    assert "torch_pickle: written" in done.stdout
    params.write_text(before)
    project.run("dvc", "repro", "export-complete")


def test_the_statement_says_what_is_known_and_what_is_not(
    project: Project, elsewhere: tuple[Path, dict[str, Any]]
) -> None:
    train = next(n for n in lineage.nodes(complete(project)).values() if n.stage == "train")
    digest = provenance.digest(elsewhere[0])
    assert train.deps[f"checkpoints/{digest}"] == digest
    assert train.elsewhere["unknown"] == ["code", "data", "parameters"]
    known = train.elsewhere["known"]
    assert (known["name"], known["epoch"], known["optimizer"]) == ("best.pth", 7, True)
    assert known["hyperparameters"] == {"lr": LR}
    schema = json.loads((complete(project) / "schema.json").read_text())
    assert schema["epoch"] == 0
    assert any("'module'" in note for note in schema["start"]["notes"])
    assert f"`{digest}`" in (complete(project) / "README.md").read_text()


def test_trace_shows_the_checkpoint_as_a_root_and_examine_knows_the_card(
    project: Project,
) -> None:
    done = project.run("python", "-m", "pipeline.trace", "artifacts/complete-model")
    assert "trained elsewhere: checkpoints/" in done.stdout
    assert "best.pth (state_dict), trained elsewhere: its code, data, parameters" in " ".join(
        done.stdout.split()
    )
    done = project.run("python", "-m", "pipeline.examine", "artifacts/complete-model")
    assert "README.md is what is written of this model" in done.stdout


def test_reproduce_makes_it_again_from_the_checkpoint_on(project: Project) -> None:
    project.commit("adopted")
    done = project.run("python", "-m", "pipeline.reproduce", "artifacts/complete-model")
    assert "from the checkpoint best.pth on, trained elsewhere" in done.stdout
    assert "same" in done.stdout


def test_it_is_trained_on_as_any_complete_model(project: Project) -> None:
    digits = ("data=digits", "train.epochs=1", "export.attempt=[]")
    done = project.run("python", "-m", "pipeline.resume", "artifacts/complete-model", *digits)
    assert "verified: passed" in done.stdout


def test_fine_tuning_starts_from_it_with_a_new_head(
    tmp_path: Path, elsewhere: tuple[Path, dict[str, Any]]
) -> None:
    project = make_project(tmp_path / "project")
    adopted(
        project,
        str(elsewhere[0]),
        *DIGITS,
        "model.net.classes=10",
        "train.new_weights=[layers.2]",
        "train.freeze=[layers.0]",
    )
    schema = json.loads(project.read("artifacts/complete-model/schema.json"))
    assert schema["start"]["new"] == ["layers.2.bias", "layers.2.weight"]
