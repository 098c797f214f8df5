"""SIGTERM, SIGINT in `train`."""

import shutil
import signal
from pathlib import Path

import numpy as np

from faults import _ground as ground
from faults import _training as training
from faults.tally import Tally, generator
from testing.project import Project

REPEATS = 20
SHORT = 2
MUST = "the epoch's state is saved, exit 128+n, resumable"
PARAMS = ("model=torch_cnn", "train.epochs=8", "train.batch_size=64", "checkpoint.many=16")
STAGE = ("python", "-m", training.MODULE, "--data", "artifacts/data")
STAGE += ("--models", "models", "--output", str(training.OUTPUT))
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(repeats: int, scratch: Path) -> Tally:
    tally, rng = Tally(), generator(__name__)
    ours = training.setting(scratch, *PARAMS, fresh=repeats > SHORT)
    while tally.tried < repeats:
        project = ours.project.copied(scratch / "disturbed" / "project")
        before = tally.tried
        while _signalled(tally, project, rng.uniform(0, ours.seconds), repeats):
            pass
        if training.same_end(tally, ours, project, f"training up to signal {tally.tried}"):
            tally.survived += tally.tried - before
        shutil.rmtree(project.root.parent)
    return tally


def _signalled(tally: Tally, project: Project, moment: float, repeats: int) -> bool:
    """False when the run came to its end instead."""
    number = SIGNALS[tally.tried % len(SIGNALS)]
    expected = _point(project)
    fresh = tally.tried < (repeats if repeats > SHORT else 1)  # the first is met while it imports
    running = ground.started(project, *STAGE, fresh=fresh)
    signalled = tally.tried < repeats and ground.hit(running.process, moment, number)
    code, said = running.ended(), running.said
    if expected and training.epochs(said):
        tally.demand(expected in said, f"expected '{expected}', found {said[-200:]}")
    if not signalled:
        tally.demand(code == 0, f"undisturbed rerun ended with {code}: {said[-300:]}")
        return False
    tally.tried += 1
    # Before Python has come up far enough the system ends it, which a shell shows as 128 + n.
    late = code == 0 and ground.whole(project.root / training.OUTPUT)
    right = late or (code == 128 + number and "Traceback" not in said) or code == -number
    tally.demand(right, f"{number.name} after {moment:.2f} s: {code}: {said[-200:]}")
    tally.count(f"{number.name} {_place(project, said)}")
    return True


def _place(project: Project, said: str) -> str:
    if _point(project):
        return "within an epoch, its steps saved"
    return "between epochs" if training.epochs(said) else "before the first step of a run"


def _point(project: Project) -> str | None:
    """Where the next run must go on when a state was saved within an epoch."""
    file = project.root / training.OUTPUT / "within.steps.npz"
    if not file.is_file():
        return None
    with np.load(file) as arrays:
        return f"going on after step {len(arrays['losses'])} of epoch {arrays['epoch']}"
