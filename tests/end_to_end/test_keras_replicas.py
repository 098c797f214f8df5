"""A Keras training over two replicas is whole: made again, killed, judged and verified like any."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from pipeline import provenance
from testing.project import TINY, Project
from tests.test_train import begin, ended

REPLICAS = (*TINY, "model=keras_functional", "export.formats=[saved_model]", "train.epochs=3")
REPLICAS += ("train.distributed.processes=2",)


@pytest.fixture(scope="module")
def whole(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Trained without a disturbance. Read it, do not change it."""
    folder = shutil.copytree(trained.root, tmp_path_factory.mktemp("replicas") / "project")
    project = Project(Path(folder))
    project.params(*REPLICAS)
    project.stage("train")
    return project


def test_killed_it_ends_in_the_same_bytes(whole: Project, copy_of) -> None:
    project = copy_of(whole)
    output = project.root / "artifacts/train"
    ended(begin(project, "epoch 1/3"), signal.SIGKILL)
    assert not (output / provenance.NAME).exists()
    assert "going on after epoch" in project.stage("train").stdout
    assert provenance.digest(output) == provenance.digest(whole.root / "artifacts/train")


def test_nothing_after_it_knows_how_it_was_trained(whole: Project, copy_of) -> None:
    """One process finds the metrics that two replicas did, exactly, and takes the same next steps
    from here as the complete model does without its source."""
    project = copy_of(whole)
    for stage in ("checkpoint", "export-complete", "verify"):
        project.stage(stage)
    report = json.loads(project.read("reports/verify.json"))
    measured = report["checks"]["continuation"]["measured"]["saved_model"]
    assert report["passed"] and set(measured["max_abs_diff"].values()) == {0.0}


def test_a_loss_that_is_no_mean_over_rows_is_refused_before_an_epoch(
    whole: Project, copy_of
) -> None:
    project = copy_of(whole)
    project.params(*REPLICAS, "+model.loss.reduction=sum")
    said = project.stage("train", check=False).stdout
    [line] = [each for each in said.splitlines() if each.startswith("error: ")]
    assert "error: train: model.loss: is" in line and "expected a mean over rows" in line
    assert "epoch 1" not in said and "Traceback" not in said
