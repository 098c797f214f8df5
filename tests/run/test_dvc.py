"""DVC ends when what it runs has ended, however the pipeline that has started it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testing.project import PATH, Project, needs
from testing.sweeps import make_quick, until

SAVES = """
import os, signal, sys, time
root = os.environ["DVC_ROOT"]
if os.path.exists(f"{root}/writing"):
    open(f"{root}/two", "w").close()
open(f"{root}/writing", "w").close()
def save(*_):
    open(f"{root}/asked", "a").write("x")
    while not os.path.exists(f"{root}/saved"):
        time.sleep(0.05)
    os.remove(f"{root}/writing")
    raise SystemExit(143)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, save)
"""
"""What a stage begins with that ends when `saved` is there, and must not be joined meanwhile."""
COMMANDS = """
stages:
  train:
    cmd: python first.py; python second.py
    outs: [out]
"""
FIRST = "open('begun', 'w').close(); import time; time.sleep(600)"
SECOND = "import time; time.sleep(2); open('out', 'w').close()"


@pytest.fixture
def saving(tmp_path: Path) -> Project:
    project = make_quick(tmp_path / "project")
    work = project.root / "work.py"
    work.write_text(f"{SAVES}{work.read_text()}os.remove(f'{{root}}/writing')\n")
    project.commit("a stage that saves")
    return project


def begun(project: Project, shell: str, log: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "train.lr=0.1"],
        cwd=project.root,
        env={**os.environ, "PATH": PATH, "SHELL": str(needs(shell))},
        stdout=(project.root / log).open("wb"),
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_what_a_killed_one_has_begun_ends_before_the_same_command_goes_on(
    saving: Project, shell: str
) -> None:
    (saving.root / "hold-0.1").touch()
    first = begun(saving, shell, "first")
    until(lambda: (saving.root / "began").exists(), 120)
    first.kill()
    first.wait()
    second = begun(saving, shell, "second")
    waits = f"process {first.pid} is gone; waiting for the end of what it has begun\n"
    until(lambda: waits in saving.read("second"), 120)
    demand_ended_once(saving, second)


@pytest.mark.parametrize(
    ("number", "shell"), [(signal.SIGTERM, "sh"), (signal.SIGINT, "bash"), (signal.SIGHUP, "sh")]
)
def test_it_is_there_until_what_it_has_begun_has_saved(
    saving: Project, number: int, shell: str
) -> None:
    (saving.root / "hold-0.1").touch()
    first = begun(saving, shell, "first")
    until(lambda: (saving.root / "began").exists(), 120)
    first.send_signal(number)
    until(lambda: (saving.root / "asked").exists(), 120)
    assert first.poll() is None
    (saving.root / "saved").touch()
    assert first.wait(120) == 128 + number
    assert not (saving.root / "writing").exists()
    demand_ended_once(saving, begun(saving, shell, "second"))


def demand_ended_once(project: Project, second: subprocess.Popen[bytes]) -> None:
    """The first one was asked to end once, and the second one comes to its end alone."""
    until(lambda: (project.root / "asked").exists(), 120)
    (project.root / "hold-0.1").unlink()
    (project.root / "saved").touch()
    assert second.wait(120) == 0, project.read("second")
    assert not (project.root / "two").exists() and project.read("asked") == "x"


def test_none_of_a_stages_commands_is_begun_when_it_is_ending(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "dvc.yaml").write_text(COMMANDS)
    (tmp_path / "first.py").write_text(FIRST)
    (tmp_path / "second.py").write_text(SECOND)
    project.run("git", "init", "--quiet")
    project.run("dvc", "init", "--quiet")
    words = [sys.executable, "-m", "pipeline.run.dvc", "repro"]
    environ = {**os.environ, "PATH": PATH, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(words, cwd=tmp_path, env=environ)
    until(lambda: (tmp_path / "begun").exists(), 120)
    process.terminate()
    assert process.wait(120) != 0
    assert not (tmp_path / "out").exists()
