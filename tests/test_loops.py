"""The loops in loops/ train as they are, with the libraries that people write them for."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.yaml_text import load_yaml
from pipeline.training.command import left
from testing import preloaded
from testing.project import Project, make_project
from testing.shared import shared

LOOPS = ("hugging_face_trainer", "keras_fit", "lightning_trainer")
FEW = ("train.epochs=3", "export.attempt=[]", "checkpoint.many=16")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With the rows of the digits. Read it, do not change it."""

    def make(folder: Path) -> None:
        project = make_project(folder / "project")
        project.params()
        project.stage("prepare")

    return Project(shared(tmp_path_factory, "prepared digits", make) / "project")


def made(project: Project) -> dict[str, bytes]:
    folder = project.root / "artifacts/train"
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def kill_after_a_checkpoint(project: Project, pattern: str | None) -> None:
    """One that is whole: of one that is not, nobody could go on."""
    environ = {**os.environ, "PATH": preloaded.path()}
    process = subprocess.Popen(project.stage_command("train"), cwd=project.root, env=environ)
    folder = project.root / "artifacts/train/command"
    end = time.monotonic() + 120
    while not folder.is_dir() or left.last_whole(folder, pattern) is None:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait()


def checkpoint_of(project: Project) -> str | None:
    train: dict = load_yaml(project.read("params.yaml"), "params.yaml")["train"]
    return train["checkpoint"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_is_killed_goes_on_and_comes_to_the_same_bytes(
    prepared: Project, copy_of: Callable[[Project], Project], loop: str
):
    project = copy_of(prepared)
    project.params(f"experiment={loop}", *FEW)
    project.stage("train")
    whole = made(project)
    history = whole["history.csv"].decode().splitlines()
    assert {"epoch", "train/loss", "val/loss", "val/accuracy"} <= set(history[0].split(","))
    assert len(history) == 4
    assert json.loads(whole["taken.json"])["epoch"] == 3
    (project.root / "artifacts/train/provenance.json").unlink()
    kill_after_a_checkpoint(project, checkpoint_of(project))
    assert "going on after artifacts/train/command/" in project.stage("train").stdout
    assert made(project) == whole
