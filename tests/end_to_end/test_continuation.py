"""Complete models train on without their source; one that was sabotaged is noticed each time."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline import frameworks
from pipeline.config.params import ExportParams, VerifyParams
from pipeline.config.reading import read
from pipeline.config.yaml_text import load_yaml
from pipeline.formats import declared, exporter
from pipeline.reference import trained
from pipeline.sandbox import supervisor
from pipeline.training.parts import build
from pipeline.verification.answers import train_on
from pipeline.verification.checks import continuation
from pipeline.verification.evidence import Evidence, read_evidence
from testing.finished import finished
from testing.project import TINY, Project

pytestmark = pytest.mark.usefixtures("preloaded_python")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Convolutions, batch norm, dropout, a loss of its own, AdamW, a schedule and clipping."""
    return finished(tmp_path_factory, "torch_cnn")


def sections(project: Project) -> dict[str, Any]:
    values: dict[str, Any] = load_yaml(project.read("params.yaml"), "params.yaml")
    return values


def judged(
    project: Project, complete_model: Path, room: Path, checkpoint: Path | None = None
) -> tuple[Evidence, list[str]]:
    """The faults that continuation finds after a confined process has trained on."""
    artifacts = project.root / "artifacts"
    promises = declared("torch_export").promises.as_mapping()
    params = read(VerifyParams, sections(project))
    checkpoint = checkpoint or artifacts / "checkpoint"
    places = (complete_model, checkpoint, artifacts / "data", params)
    evidence = read_evidence(*places, {"torch_export": promises})
    with supervisor.pool() as pool:
        steps = pool.submit(train_on, evidence, artifacts / "data", "torch_export", room)
        given = steps.result()
    evidence = dataclasses.replace(evidence, trainings={"torch_export": given})
    return evidence, [fault.text for fault in continuation.check(evidence).faults]


def exported_again(project: Project, target: Path, spoil: Callable[[Any], None]) -> None:
    """As the stage does it, but for what is done to the training before."""
    params = read(ExportParams, sections(project))
    checkpoint = project.root / "artifacts/checkpoint"
    schema = json.loads((checkpoint / "schema.json").read_text())
    framework = frameworks.framework("pytorch")
    training = build(params.model, params.train, schema, "cpu")
    framework.load(training, checkpoint / "checkpoint.pt")
    spoil(training)
    steps = np.load(checkpoint / "reference/training.npz")
    inputs = {"pixels": steps["input.pixels"]}
    targets = {"label": steps["target.label"]}
    given = {"training": training, "targets": targets, "seed": schema["seed"]}
    form = exporter("torch_export")
    form.export(framework.predictor(training, inputs), inputs, ["logits"], target, **given)


def test_every_bit_is_that_of_the_source(project: Project, tmp_path: Path) -> None:
    evidence, faults = judged(project, project.root / "artifacts/complete-model", tmp_path)
    assert faults == []
    found = continuation.check(evidence).measured["torch_export"]
    assert found["max_abs_diff"] == {"losses": 0.0, "state": 0.0, "answers": 0.0}
    assert found["tensors"] > 40 and len(set(found["losses"])) == 6


def no_state(saved: dict[str, Any]) -> None:
    saved["state"]["state"] = {}


def no_momentum(saved: dict[str, Any]) -> None:
    for slots in saved["state"]["state"].values():
        slots["exp_avg"].zero_()


def one_parameter_s_variance(saved: dict[str, Any]) -> None:
    saved["state"]["state"][3]["exp_avg_sq"] *= 1.01


def no_decay(saved: dict[str, Any]) -> None:
    saved["state"]["param_groups"][0]["weight_decay"] = 0.0


def no_schedule(saved: dict[str, Any]) -> None:
    saved["scheduler"] = None


def no_clipping(saved: dict[str, Any]) -> None:
    saved["clip_norm"] = None


def another_seed(saved: dict[str, Any]) -> None:
    saved["seed"] += 1


@pytest.mark.parametrize(
    "spoil",
    [
        *(no_state, no_momentum, one_parameter_s_variance, no_decay, no_schedule),
        *(no_clipping, another_seed),
    ],
)
def test_what_the_optimizer_lost_is_noticed(
    project: Project, tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    spoilt = Path(
        shutil.copytree(project.root / "artifacts/complete-model", tmp_path / "complete-model")
    )
    saved = torch.load(spoilt / "optimizer.pt", weights_only=True)
    spoil(saved)
    torch.save(saved, spoilt / "optimizer.pt")
    _, faults = judged(project, spoilt, tmp_path / "room")
    assert faults and not any("Error" in fault for fault in faults)


@pytest.fixture(scope="module")
def of_digests(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, as it would be of a large model."""
    artifacts = project.root / "artifacts"
    checkpoint = tmp_path_factory.mktemp("digests") / "checkpoint"
    shutil.copytree(artifacts / "checkpoint", checkpoint)
    path = checkpoint / "reference/trained.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    state = {k.removeprefix("state/"): v for k, v in content.items() if k.startswith("state/")}
    answers = {k.partition("/")[2]: v for k, v in content.items() if k.startswith("answers/")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "VALUES", 0)
        trained.write(path, answers, state.items)
    return checkpoint


def test_digests_alone_tell_that_every_bit_is_that_of_the_source(
    project: Project, of_digests: Path, tmp_path: Path
) -> None:
    complete_model = project.root / "artifacts/complete-model"
    evidence, faults = judged(project, complete_model, tmp_path, of_digests)
    assert faults == [] and len(evidence.state_digests) > 40
    assert continuation.check(evidence).measured["torch_export"]["tensors"] > 40


@pytest.mark.parametrize("spoil", [no_momentum, one_parameter_s_variance, no_decay])
def test_what_the_optimizer_lost_is_noticed_by_digests_alone(
    project: Project, of_digests: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    spoilt = tmp_path / "complete-model"
    shutil.copytree(project.root / "artifacts/complete-model", spoilt)
    saved = torch.load(spoilt / "optimizer.pt", weights_only=True)
    spoil(saved)
    torch.save(saved, spoilt / "optimizer.pt")
    _, faults = judged(project, spoilt, tmp_path / "room", of_digests)
    assert any(fault.startswith("state/optimizer/") for fault in faults)
    assert not any("Error" in fault for fault in faults)


def dropout_off(training: Any) -> None:
    training.net.dropout.p = 0.0


def batch_norm_frozen(training: Any) -> None:
    norms = [each for each in training.net.modules() if isinstance(each, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        norm.train = lambda mode=True, norm=norm: norm  # stays as eval() left it


def another_loss(training: Any) -> None:
    training.loss = nn.CrossEntropyLoss()


def a_frozen_layer(training: Any) -> None:
    training.net.head.requires_grad_(False)


@pytest.mark.parametrize("spoil", [dropout_off, batch_norm_frozen, another_loss, a_frozen_layer])
def test_a_step_that_is_not_the_source_s_is_noticed(
    project: Project, tmp_path: Path, spoil: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    (tmp_path / "complete-model").mkdir()

    def spoilt(training: Any) -> None:
        training.net.eval()
        spoil(training)

    exported_again(project, tmp_path / "complete-model", spoilt)
    _, faults = judged(project, tmp_path / "complete-model", tmp_path / "room")
    assert faults and not any("Error" in fault for fault in faults)


def test_exported_again_without_sabotage_it_passes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the others fail for what was done to them alone."""
    monkeypatch.chdir(project.root)
    (tmp_path / "complete-model").mkdir()
    exported_again(project, tmp_path / "complete-model", lambda training: None)
    for name in ("model.pt2", "optimizer.pt"):
        theirs = project.root / "artifacts/complete-model" / name
        assert (tmp_path / "complete-model" / name).read_bytes() == theirs.read_bytes()
    _, faults = judged(project, tmp_path / "complete-model", tmp_path / "room")
    assert faults == []


def test_the_step_as_onnx_is_held_to_its_tolerance_by_the_same_check(
    trained: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained)
    project.params(*TINY, "export.attempt=[onnx_train]")
    project.stage("export-complete")
    project.stage("verify")
    report = json.loads(project.read("reports/verify.json"))
    found = report["checks"]["continuation"]["measured"]["onnx_train"]
    assert 0 < found["max_abs_diff"]["losses"] < 1e-5 and found["atol"] == 1e-4
    assert report["formats"]["onnx_train"]["promises"]["trainable"]
    exact = "+verify.continuation.onnx_train={atol: 0.0, rtol: 0.0}"
    project.params(*TINY, "export.attempt=[onnx_train]", exact)
    done = project.stage("verify", check=False)
    assert "error: verify: " in done.stdout and "continuation: onnx_train: " in done.stdout
