"""A model that brings its own training step, through the stages: it goes on without its source as
with it, and a program that does less than the step is noticed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from testing.project import make_project
from tests.test_resume import LAST_EPOCH, STAGES, copied, resumed

SETTINGS = ("experiment=variational", "export.attempt=[]", "checkpoint.many=16", *LAST_EPOCH)
LESS = {
    "torch_variational": ("weight * far)", "0 * far)"),
    "keras_variational": ("weight * far)", "0.0 * far)"),
}


@pytest.mark.parametrize("model", LESS)
def test_it_goes_on_without_its_source_and_a_program_of_less_is_noticed(
    tmp_path: Path, model: str
) -> None:
    project = make_project(tmp_path / "project")
    artifacts = project.root / "artifacts"
    project.params(*SETTINGS, f"model={model}", "train.epochs=3")
    for name in STAGES[:-1]:
        project.stage(name)
    whole = dict(np.load(artifacts / "checkpoint/reference/trained.npz"))
    history = project.read("artifacts/train/history.csv").splitlines()
    shutil.rmtree(artifacts / "train")
    project.params(*SETTINGS, f"model={model}", "train.epochs=2")
    for name in STAGES[1:]:
        project.stage(name)
    half = copied(project)

    file = project.root / f"models/{model}.py"
    assert LESS[model][0] in file.read_text()
    file.write_text(file.read_text().replace(*LESS[model]))
    project.stage("export-complete")
    assert project.stage("verify", check=False).returncode == 1
    faults = json.loads(project.read("reports/verify.json"))["faults"]
    assert {fault["check"] for fault in faults} == {"continuation"}

    for source in (project.root / "models").glob("*.py"):
        source.unlink()
    resumed(project, half, *SETTINGS, "train.epochs=1")
    parts = dict(np.load(artifacts / "checkpoint/reference/trained.npz"))
    assert set(whole) == set(parts)
    assert [name for name in whole if whole[name].tobytes() != parts[name].tobytes()] == []
    last = project.read("artifacts/train/history.csv").splitlines()[-1]
    assert last.partition(",")[2] == history[-1].partition(",")[2]
    project.stage("verify")
