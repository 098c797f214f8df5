"""SIGKILL around each checkpoint write of `train`."""

import time
from pathlib import Path

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


def run(repeats: int, scratch: Path) -> Tally:
    tally, rng = Tally(), generator(__name__)
    project = ground.prepared(scratch / "project", *PARAMS)
    output = project.root / training.OUTPUT
    while tally.tried < repeats:
        _killed_at_a_write(tally, project, rng.randint(0, 3), rng.random())
        _readable(tally, project, output)
    return tally


def _killed_at_a_write(tally: Tally, project: Project, later: int, part: float) -> None:
    """After so many writes more, at that part of the time that a write takes at most. Each training
    comes with its imports done, and all of it is killed at once."""
    output = project.root / training.OUTPUT
    before = set(output.glob("epoch_*"))
    running = ground.started(project, *project.stage_command("train"), fresh=False)
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
    ground.kill_group(running)
    tally.tried += 1
    if list(output.glob("*.partial")):
        tally.count("kills within a write")
    else:
        tally.count("kills just after one")


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
