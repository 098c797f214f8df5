"""A model that was trained by adapters is complete: merged, verified, made again and trained on."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import provenance
from pipeline.config.params import TrainParams
from pipeline.config.reading import read
from pipeline.config.yaml_text import load_yaml
from pipeline.diff import text as diff_text
from pipeline.errors import ModelError, ParamsError
from pipeline.provenance import lineage
from pipeline.run import start
from pipeline.training.adapted import demand_merged
from testing.project import ROOT, TINY, Project, make_project

ADAPTER = {"r": 2, "alpha": 4, "dropout": 0.1, "targets": ["layers.0"]}
WRITTEN = "{r: 2, alpha: 4, dropout: 0.1, targets: [layers.0]}"
HEAD = "train.new_weights=[layers.2]"
TAKE_IN = """
import sys
from pathlib import Path
from pipeline.adopt import take_in
print(take_in(Path(sys.argv[1]))[0])
"""
SAME = "a" * 64


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from models.torch_mlp import TorchMLP

    torch.manual_seed(5)
    net = TorchMLP(64, 64, 10)
    net.adapt(np.random.default_rng(5).uniform(0, 16, (100, 64)).astype(np.float32))
    path = tmp_path_factory.mktemp("base") / "best.pth"
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Project:
    """What the stages leave up to the report of `verify`. Read it."""
    project = make_project(tmp_path_factory.mktemp("adapting") / "project")
    digest = project.script(TAKE_IN, str(base), parent="pytorch").stdout.split()[-1]
    how = (f"train.start={digest}", f"train.adapter={WRITTEN}", HEAD, "train.lr=0.02")
    project.params("model=torch_mlp", "data=digits", *TINY, *how)
    for name in ("prepare", "train", "checkpoint", "export-complete", "verify"):
        project.stage(name)
    return project


def complete(project: Project) -> Path:
    return project.root / "artifacts/complete-model"


def test_it_is_verified_and_answers_as_base_and_adapter(project: Project, base: Path) -> None:
    assert json.loads(project.read("reports/verify.json"))["passed"]
    weights = torch.load(base, weights_only=True)
    saved = torch.load(project.root / "artifacts/checkpoint/checkpoint.pt", weights_only=True)
    held = saved["net"]
    assert torch.equal(held["layers.0.weight"], weights["layers.0.weight"])
    added = held["layers.0.adapter.left"] @ held["layers.0.adapter.right"] * 2.0
    assert added.abs().max() > 0.001
    program = torch.export.load(complete(project) / "model.pt2")
    merged = program.state_dict["layers.0.weight"]
    assert torch.equal(merged, weights["layers.0.weight"] + added)
    assert set(program.state_dict) <= set(weights)
    assert not torch.equal(program.state_dict["layers.2.weight"], weights["layers.2.weight"])


def test_an_epoch_has_the_adapter_and_not_the_base(project: Project) -> None:
    held = torch.load(project.root / "artifacts/train/epoch_0001.pt", weights_only=True)
    assert {"layers.0.weight", "layers.0.bias"} & set(held["net"]) == set()
    slots = held["optimizer"]["state"]
    assert [tuple(each["exp_avg"].shape) for each in slots.values()] == [
        *((64, 2), (2, 64)),
        *((10, 64), (10,)),
    ]


def test_what_is_written_of_it_names_adapter_and_base(project: Project, base: Path) -> None:
    digest = provenance.digest(base)
    nodes = {node.stage: node for node in lineage.nodes(complete(project)).values()}
    for stage in ("train", "checkpoint"):
        assert nodes[stage].deps[f"checkpoints/{digest}"] == digest
    schema = json.loads((complete(project) / "schema.json").read_text())
    assert schema["start"]["sha256"] == digest
    assert schema["start"]["adapter"] == ADAPTER
    assert any("adapters in 1 layers" in note for note in schema["start"]["notes"])
    assert "Adapters of rank 2 were trained" in (complete(project) / "README.md").read_text()
    done = project.run("python", "-m", "pipeline.examine", "artifacts/complete-model")
    assert "README.md is what is written of this model" in done.stdout
    models = ["artifacts/complete-model"] * 2
    done = project.run("python", "-m", "pipeline.diff", *models)
    assert f"base equal: checkpoint {digest[:12]}" in done.stdout


def test_a_killed_training_goes_on_over_the_base_and_ends_in_the_same_bytes(
    project: Project, tmp_path: Path
) -> None:
    copy = project.copied(tmp_path / "copy")
    statement = copy.root / "artifacts/train" / provenance.NAME
    expected = statement.read_bytes()
    command = [sys.executable, *copy.stage_command("train")[1:]]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=copy.root, **pipes) as running:
        assert running.stdout is not None
        assert any(line.startswith("epoch 1/2") for line in running.stdout)
        running.send_signal(signal.SIGKILL)
    assert not statement.exists()
    assert "going on after epoch 1" in copy.stage("train").stdout
    assert statement.read_bytes() == expected


def test_another_base_is_told_by_diff() -> None:
    said = diff_text.based({"a": SAME, "b": "b" * 64})
    assert said == "base differs: aaaaaaaaaaaa → bbbbbbbbbbbb"


def test_stages_that_read_no_base_do_not_name_it() -> None:
    train = {"start": SAME, "adapter": ADAPTER}
    assert start.deps("export-complete", train) == {}
    assert start.deps("checkpoint", train | {"adapter": None}) == {}


class Apart:
    """A framework whose merged answers differ by a factor."""

    def __init__(self, factor: float):
        self.factor = factor

    def evaluate(self, training: Any, inputs: Any, targets: Any) -> Any:
        return {"out": self.factor * inputs["pixels"]}, 0.0

    def unmerged(self, training: Any, inputs: Any) -> Any:
        return {"out": inputs["pixels"]}

    def weight_specs(self, training: Any, naming: str) -> Any:
        return {}


def test_what_is_not_merged_rightly_is_one_line(project: Project) -> None:
    data: Any = project.root / "artifacts/data"
    demand_merged(Apart(1 + 1e-6), None, data)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^model.net: out differs by 0.01 .* leave that layer"):
        demand_merged(Apart(1.01), None, data)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^model.net: out differs by nan"):
        demand_merged(Apart(float("nan")), None, data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"start": None}, "^train.start: found null with train.adapter, expected one: an adapter"),
        ({"start_with": "optimizer"}, "^train.start_with: found optimizer with train.adapter, exp"),
        (
            {"averaging": {"kind": "ema", "decay": 0.9}},
            "^train.averaging: found one with train.adapter, expected null",
        ),
        ({"adapter": {**ADAPTER, "r": 0}}, "^train.adapter.r: found 0, expected at least 1"),
        ({"adapter": {**ADAPTER, "rank": 2}}, "^train.adapter.rank: "),
        (
            {"command": "python fit.py {output}", "start": None},
            "^train.adapter: found .* expected none with train.command",
        ),
    ],
)
def test_what_an_adapter_does_not_go_with_is_one_line(changed: Any, said: str) -> None:
    values = load_yaml((ROOT / "params.yaml").read_text(), "params.yaml")
    train = values["train"] | {"start": SAME, "adapter": ADAPTER} | changed
    with pytest.raises(ParamsError, match=said) as raised:
        read(TrainParams, {"model": values["model"], "train": train})
    assert "\n" not in str(raised.value)
