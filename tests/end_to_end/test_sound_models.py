"""Nets as people write them pass the whole pipeline; what is odd about one is told, not failed."""

import json
from pathlib import Path

import pytest

from testing.project import TINY, Project, make_project

NETS = Path(__file__).with_name("sound_models.py")
CONF = """name: {name}
framework: pytorch
net:
  _target_: models.sound_models.{net}
loss:
  _target_: torch.nn.CrossEntropyLoss
optimizer:
  _target_: torch.optim.Adam
  lr: ${{train.lr}}
scheduler: null
outputs: [logits]
formats: [torch_export]
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with these nets, and its data prepared."""
    project = make_project(tmp_path_factory.mktemp("sound") / "project")
    (project.root / "models/sound_models.py").write_text(NETS.read_text())
    for name in ("Scaled", "Alike", "Attending", "Brief"):
        conf = CONF.format(name=name.lower(), net=name)
        (project.root / f"conf/model/{name.lower()}.yaml").write_text(conf)
    project.params(*TINY)
    project.stage("prepare")
    return project


def verified(project: Project, name: str) -> dict:
    """The report of a net that went through all stages."""
    project.params(*TINY, f"model={name}", "export.attempt=[onnx]", "train.lr=0.001")
    for stage in ("train", "checkpoint", "export-complete", "verify"):
        project.stage(stage)
    report: dict = json.loads(project.read("reports/verify.json"))
    assert report["passed"]
    return report


def test_a_head_that_trains_alone_and_a_branch_scaled_to_nothing_are_no_faults(
    prepared: Project,
) -> None:
    report = verified(prepared, "scaled")
    assert "the weight head.weight: no answer depends on it" in report["notes"]
    for measured in report["checks"]["sensitivity"]["measured"].values():
        assert measured["followed"] and "branch" not in measured["followed"]
    assert "no answer depends on it" in prepared.read("reports/verify.html")


def test_a_net_that_answers_all_rows_alike_is_told(prepared: Project) -> None:
    report = verified(prepared, "alike")
    assert any("answers all rows of the batch `many` alike" in note for note in report["notes"])
    measured = report["checks"]["sensitivity"]["measured"]["onnx"]
    assert "alike, and the format follows it" in measured["alike"]


def test_stock_attention_and_a_learnt_mask_are_exact_and_have_their_onnx(prepared: Project) -> None:
    report = verified(prepared, "attending")
    assert report["formats"]["torch_export"]["max_abs_diff"] == 0
    assert report["formats"]["onnx"]["answered"]


def test_bfloat16_within_a_net_is_held_bit_for_bit(prepared: Project) -> None:
    report = verified(prepared, "brief")
    assert report["formats"]["torch_export"]["max_abs_diff"] == 0
    assert report["checks"]["continuation"]["passed"]
