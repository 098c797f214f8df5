"""SIGKILL around each checkpoint write of `train`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from faults import _ground as ground
from faults import _training as training
from faults.tally import Tally, generator
from testing.project import Project

REPEATS = 100
SHORT = 4
MUST = "never an unreadable newest-and-only checkpoint"
PARAMS = ("model=torch_cnn", "train.epochs=5000", "train.batch_size=256")

SOON = 0.02
"""Seconds within which the kill follows the appearance of a temporary file: during the write, or
just after it, before the next file is written that belongs to it."""

# Imports once what takes its time; every training is a child of it, and is what `python -m` is.
FORKS = """
import os, runpy, sys
import hydra.utils, sklearn.metrics, torch._dynamo, pipeline.train
arguments = "train --data artifacts/data --models models --output artifacts/train".split()
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.argv = arguments
        del sys.modules["pipeline.train"]
        runpy.run_module("pipeline.train", run_name="__main__", alter_sys=True)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def run(repeats: int, scratch: Path) -> Tally:
    tally, rng = Tally(), generator(__name__)
    project = ground.project(scratch / "project", *PARAMS)
    project.run("dvc", "repro", "prepare")
    output = project.root / training.OUTPUT
    forks = subprocess.Popen(
        [sys.executable, "-c", FORKS],
        cwd=project.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        while tally.tried < repeats:
            _killed_at_a_write(tally, forks, output, rng.randint(0, 3), rng.random())
            _readable(tally, project, output)
    finally:
        forks.kill()
        forks.wait()
    return tally


def _killed_at_a_write(
    tally: Tally, forks: subprocess.Popen[str], output: Path, later: int, part: float
) -> None:
    """After so many writes more, at that part of the time that a write takes at most."""
    assert forks.stdin and forks.stdout
    before = set(output.glob("epoch_*"))
    forks.stdin.write("\n")
    forks.stdin.flush()
    child = psutil.Process(_number(forks))
    deadline = time.monotonic() + ground.LONGEST
    while len(set(output.glob("epoch_*[!l]")) - before) < later:
        assert time.monotonic() < deadline, "no epoch was written"
        time.sleep(0.01)
    while not list(output.glob("epoch_*.partial")):
        assert time.monotonic() < deadline, "no write was seen"
        time.sleep(0.0001)
    until = time.monotonic() + part * SOON
    while time.monotonic() < until:
        pass
    os.kill(child.pid, signal.SIGKILL)
    for line in forks.stdout:
        if line == "ended\n":
            break
    tally.tried += 1
    if list(output.glob("*.partial")):
        tally.count("kills within a write")
    else:
        tally.count("kills just after one")


def _number(forks: subprocess.Popen[str]) -> int:
    """The first line that is one: what the training prints comes the same way."""
    assert forks.stdout
    for line in forks.stdout:
        if line.strip().isdigit():
            return int(line)
    raise AssertionError("the training could not be started")


def _readable(tally: Tally, project: Project, output: Path) -> None:
    """Every finished epoch there is, newest first, as the framework reads it."""
    import torch

    newest = sorted(output.glob("epoch_*.pt"))[-1:]
    held = True
    for path in newest:
        try:
            torch.load(path, weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError) as fault:
            held = tally.demand(False, f"{path.name}: {fault}")
    tally.survived += held
