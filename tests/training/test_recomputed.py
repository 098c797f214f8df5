"""A checkpoint that does not reach what its epoch reached is refused, whatever it lacks."""

import json
import signal

import numpy as np
import pytest

from pipeline import provenance
from pipeline.run.made_here import MADE_HERE
from testing.project import TINY, Project
from tests.test_train import begin, ended

REMEMBERING = '''
"""A net that keeps what it has learnt in a global, where nothing finds it."""
from models.torch_mlp import TorchMLP

LEARNT = {"mean": 0.0}

class Net(TorchMLP):
    def adapt(self, pixels):
        super().adapt(pixels)
        LEARNT["mean"] = float(pixels.mean())

    def forward(self, pixels):
        return super().forward(pixels - LEARNT["mean"])
'''


@pytest.fixture
def remembering(trained: Project, copy_of) -> Project:
    project = copy_of(trained)
    (project.root / "models/remembering.py").write_text(REMEMBERING)
    project.params(*TINY, "model.net._target_=models.remembering.Net", "train.epochs=3")
    return project


WORSE = "with what its checkpoint holds, and was"


def test_a_checkpoint_that_lacks_a_state_is_refused(remembering: Project) -> None:
    remembering.stage("train")
    before = {path.name for path in (remembering.root / "artifacts").iterdir()}
    said = remembering.stage("checkpoint", check=False)
    assert said.returncode == 1
    (line,) = [each for each in said.stdout.splitlines() if each.startswith("error: ")]
    assert line.startswith("error: checkpoint: epoch ") and WORSE in line
    assert "register_buffer" in line
    assert {path.name for path in (remembering.root / "artifacts").iterdir()} <= before


def test_a_killed_training_that_lost_a_state_is_not_gone_on_with(remembering: Project) -> None:
    ended(begin(remembering, "epoch 2/3"), signal.SIGKILL)
    said = remembering.stage("train", check=False)
    assert said.returncode == 1 and "going on" not in said.stdout
    assert "error: train: epoch 2: val/" in said.stdout and WORSE in said.stdout


def test_another_processor_may_round_otherwise(trained: Project, copy_of) -> None:
    """What was trained here has to be reached bit for bit; what was pulled, but for rounding."""
    project = copy_of(trained)
    history = project.root / "artifacts/train/history.csv"
    text = history.read_text()
    head, *rows = [line.split(",") for line in text.splitlines()]
    column = head.index("val/loss")
    for row in rows:
        row[column] = repr(float(np.nextafter(float(row[column]), 9)))
    history.write_text("".join(f"{','.join(row)}\n" for row in (head, *rows)))
    definition = provenance.read(history.parent)["predicate"]["buildDefinition"]
    provenance.write(history.parent, definition)
    project.stage("checkpoint")
    marks = sorted((project.root / MADE_HERE).iterdir())
    marks[0].with_name(provenance.digest(history)).touch()
    assert WORSE in project.stage("checkpoint", check=False).stdout


def two_classes(project: Project) -> None:
    rows = np.random.default_rng(0).normal(3, 5, (300, 4)).astype(np.float32)
    np.savez(project.root / "data/sides.npz", x=rows, y=(rows[:, 0] > rows[:, 1]).astype(np.int64))
    (project.root / "models/one_logit.py").write_text(ONE_LOGIT)
    (project.root / "conf/data/sides.yaml").write_text(SIDES)
    model = (project.root / "conf/model/torch_mlp.yaml").read_text().splitlines()
    head = [
        line for line in model if not line.startswith(("name:", "  inputs", "  units", "  classes"))
    ]
    text = "\n".join(["name: one_logit", *head]).replace("torch_mlp.TorchMLP", "one_logit.Net")
    text = text.replace("torch.nn.CrossEntropyLoss", "models.one_logit.Loss")
    (project.root / "conf/model/one_logit.yaml").write_text(text)
    project.params(
        *("experiment=smoke", "data=sides", "model=one_logit", "train.epochs=3", "train.lr=0.02"),
        "model.scheduler={_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, patience: 0}",
        "+train.metrics.auc={_target_: sklearn.metrics.roc_auc_score}",
        "+train.metrics.log_loss={_target_: sklearn.metrics.log_loss}",
        *("export.attempt=[]", "verify.checks=[metrics,continuation]"),
    )


SIDES = """
name: sides
file: sides.npz
inputs:
  x: {source: x, shape: [4], dtype: float32}
targets: {side: {source: y, classes: 2}}
id: null
split: {val: 0.2, test: 0.2, seed: 0}
"""
ONE_LOGIT = """
from torch import nn
from torch.nn import functional

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.body(x)

class Loss(nn.Module):
    def forward(self, answer, target):
        return functional.binary_cross_entropy_with_logits(answer.flatten(), target.float())
"""


def test_one_logit_is_decided_where_its_loss_says_and_a_plateau_gets_its_loss(
    project: Project,
) -> None:
    """From the training to the verified export, which decides as the training did."""
    two_classes(project)
    for name in ("prepare", "train", "checkpoint", "export-complete", "verify"):
        project.stage(name)
    metrics = json.loads(project.read("artifacts/complete-model/metrics.json"))
    assert metrics["test/accuracy"] > 0.8 and metrics["test/auc"] > 0.9
    assert metrics["test/log_loss"] == pytest.approx(metrics["test/loss"], rel=1e-4)
    schema = json.loads(project.read("artifacts/complete-model/schema.json"))
    decided = {"output": "logits", "target": "side", "kind": "threshold", "threshold": 0}
    for decision in (*schema["decisions"].values(), schema["predictions"]):
        assert decided.items() <= decision.items()
    report = json.loads(project.read("reports/verify.json"))
    assert report["passed"] and report["checks"]["continuation"]["measured"]["torch_export"]
    card = project.read("artifacts/complete-model/README.md")
    assert 'scheduler.step(float(data["val_loss"]))' in card


def test_a_schedule_that_ends_with_the_training_stays_where_it_ended(project: Project) -> None:
    cycle = "{_target_: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.003, total_steps: 2}"
    project.params(
        *TINY,
        f"model.scheduler={cycle}",
        "verify.checks=[continuation]",
        "checkpoint.metric=train/loss",
        "checkpoint.mode=min",
    )
    for name in ("prepare", "train", "checkpoint", "export-complete", "verify"):
        project.stage(name)
