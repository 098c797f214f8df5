"""A command of one's own trains in the place of the loop, and what comes of it is like any
training: recorded, gone on with, made again."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testing import preloaded
from testing.project import Project, make_project
from testing.shared import shared

TINY = ("train=command", "train.epochs=3", "export.attempt=[]", "checkpoint.many=16")
MADE = ("epoch_0003.pt", "history.csv", "taken.json", "provenance.json")


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Trained by loops/pytorch.py, and exported. Read it, do not change it."""

    def make(folder: Path) -> None:
        project = make_project(folder / "project")
        project.params(*TINY)
        project.commit("a command")
        for name in ("prepare", "train", "checkpoint", "export-complete"):
            project.stage(name)

    return Project(shared(tmp_path_factory, "commanded", make) / "project")


def made(project: Project) -> list[bytes]:
    return [(project.root / "artifacts/train" / name).read_bytes() for name in MADE]


def statement(project: Project, artifact: str) -> dict:
    content = json.loads(project.read(f"artifacts/{artifact}/provenance.json"))
    return content["predicate"]["buildDefinition"]


def test_its_log_is_the_history_and_its_epoch_that_of_the_checkpoint(commanded: Project):
    lines = commanded.read("artifacts/train/history.csv").splitlines()
    assert lines[0] == "epoch,train/loss,val/loss,val/accuracy"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert json.loads(commanded.read("artifacts/checkpoint/schema.json"))["epoch"] == 3
    taken = json.loads(commanded.read("artifacts/train/taken.json"))
    assert (taken["checkpoint"], taken["tensors"], taken["left_out"]) == ("last.pt", 6, [])


def test_the_model_is_the_checkpoint_s_bit_for_bit(commanded: Project):
    import torch

    folder = commanded.root / "artifacts"
    theirs = torch.load(folder / "train.command/last.pt", weights_only=True)["model"]
    ours = torch.load(folder / "checkpoint/checkpoint.pt", weights_only=True)["net"]
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_nothing_else_of_what_it_left_is_part_of_the_training(commanded: Project):
    """Other libraries' files hold clocks and hosts."""
    folder = commanded.root / "artifacts"
    names = {path.name for path in (folder / "train").iterdir() if path.is_file()}
    assert names == {*MADE}
    assert {"last.pt", "log.csv"} == {path.name for path in (folder / "train.command").iterdir()}
    assert "epoch 3: loss" in commanded.read("artifacts/train.log")


def test_in_mlflow_its_curves_lie_upon_those_of_our_own_loop(commanded: Project, trained: Project):
    theirs, ours = logged(commanded), logged(trained)
    curves = {name for row in ours.values() for name in row}
    assert {"train/loss", "val/loss", "val/accuracy"} <= curves
    assert all(row.keys() == curves for row in theirs.values())
    assert list(theirs) == [1, 2, 3]
    assert judged(commanded) == judged(trained)


def judged(project: Project) -> set[str]:
    """The final values that are reached here."""
    final = json.loads(project.read("artifacts/checkpoint/metrics.json"))
    return {name for name in final if not name.startswith("train/")}


def logged(project: Project) -> dict[int, dict[str, float]]:
    """What is logged to MLflow of each epoch."""
    from pipeline.tracking.content import RunContent

    folder = project.root / "artifacts"
    content = RunContent(
        complete_model=folder / "complete-model",
        checkpoint=folder / "checkpoint",
        train=folder / "train",
        data=folder / "data",
        verify_report=project.root / "reports/verify.json",
        sections={},
    )
    return dict(content.history)


def test_the_statement_names_its_code_and_what_was_set(commanded: Project):
    definition = statement(commanded, "train")
    named = [dep["name"] for dep in definition["resolvedDependencies"]]
    assert "loops/pytorch.py" in named
    assert "pipeline/foreign" in named
    assert "loops/keras_fit.py" not in named
    assert definition["internalParameters"]["variables"]["OMP_NUM_THREADS"] == "1"
    assert "variables" not in statement(commanded, "checkpoint")["internalParameters"]


def test_trace_names_the_command_and_its_code(commanded: Project):
    said = commanded.run("python", "-m", "pipeline.trace", "artifacts/complete-model").stdout
    assert "loops/pytorch.py" in said
    assert ", 0 contradicted" in " ".join(said.split())


def test_compose_notes_a_change_of_its_code(
    commanded: Project, copy_of: Callable[[Project], Project]
):
    """For DVC, which sees no file that dvc.yaml does not name."""
    project = copy_of(commanded)

    def noted() -> str:
        project.stage("compose")
        lines = project.read("conf.lock.yaml").splitlines()
        return next(line for line in lines if line.startswith("command_code"))

    before = noted()
    assert before != "command_code: null"
    with (project.root / "loops/pytorch.py").open("a") as file:
        file.write("# another\n")
    changed = noted()
    assert changed != before
    with (project.root / "loops/keras_fit.py").open("a") as file:
        file.write("# of no concern\n")
    assert noted() == changed


def test_killed_and_run_again_it_is_the_same_to_the_byte(
    commanded: Project, copy_of: Callable[[Project], Project]
):
    project = copy_of(commanded)
    for name in ("train", "train.command"):
        (project.root / "artifacts" / name).rename(project.root / "artifacts" / f"{name}.before")
    environ = {**os.environ, "PATH": preloaded.path()}
    process = subprocess.Popen(
        project.stage_command("train"), cwd=project.root, env=environ, stderr=subprocess.PIPE
    )
    checkpoint = project.root / "artifacts/train/command/last.pt"
    end = time.monotonic() + 60
    while not checkpoint.is_file():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert b"train: ended by SIGTERM" in process.stderr.read()
    assert process.wait() == 143
    assert not (project.root / "artifacts/train/provenance.json").exists()
    said = project.stage("train").stdout
    assert "going on after artifacts/train/command/last.pt" in said
    assert made(project) == made(commanded)


def test_made_again_it_has_the_same_bytes(commanded: Project):
    said = commanded.run("python", "-m", "pipeline.reproduce", "artifacts/train").stdout
    assert "python loops/pytorch.py" in said
    assert "same bytes" in said


def copies(commanded: Project) -> str:
    """A command that leaves the checkpoint and the log of the one that trained."""
    folder = commanded.root / "artifacts/train.command"
    return f'train.command="cp {folder}/last.pt {folder}/log.csv {{output}}"'


def test_a_checkpoint_of_another_net_is_one_line_and_trained_for_no_more(
    commanded: Project, copy_of: Callable[[Project], Project]
):
    project = copy_of(commanded)
    project.params(*TINY, "model.net.units=32", copies(commanded))
    ended = project.stage("train", check=False)
    assert ended.returncode == 1
    line = next(line for line in ended.stdout.splitlines() if line.startswith("error: "))
    assert "3 have another shape" in line
    last = ended.stdout.strip().splitlines()[-1]
    assert "`python -m pipeline.adopt artifacts/train/command/last.pt` takes what it left" in last
    assert not (project.root / "artifacts/train/history.csv").exists()
    assert "Traceback" not in ended.stdout


def test_what_changes_its_inputs_is_not_recorded(
    commanded: Project, copy_of: Callable[[Project], Project]
):
    project = copy_of(commanded)
    program = """
import shutil, sys
shutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)
open("models/torch_mlp.py", "a").write("# changed")
"""
    (project.root / "loops/pytorch.py").write_text(program)
    left = commanded.root / "artifacts/train.command"
    project.params(*TINY, f'train.command="python loops/pytorch.py {left} {{output}}"')
    ended = project.stage("train", check=False)
    assert ended.returncode == 1
    assert "models: changed while it ran; nothing is recorded" in ended.stdout
    assert not (project.root / "artifacts/train/provenance.json").exists()
