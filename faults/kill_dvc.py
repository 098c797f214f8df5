"""DVC's process killed alone."""

import contextlib
import re
import shutil
import time
from pathlib import Path

import psutil

from faults import _ground as ground
from faults import _training as training
from faults.tally import Tally, generator
from testing.project import Project

REPEATS = 10
SHORT = 2
MUST = "the stage ends too, or a second `dvc repro` is refused with the holder's pid"
PARAMS = ("model=torch_cnn", "train.epochs=8", "train.batch_size=64", "checkpoint.many=16")

SOON = 30
"""Seconds within which the stage must have ended by itself."""


def run(repeats: int, scratch: Path) -> Tally:
    tally, rng = Tally(), generator(__name__)
    ours = training.setting(scratch, *PARAMS, fresh=repeats > SHORT)
    project = ours.project.copied(scratch / "disturbed" / "project")
    while tally.tried < repeats:
        running = ground.started(project, *training.COMMAND, fresh=ours.fresh)
        stage = ground.stage_of(running, training.MODULE)
        moment = rng.uniform(0, ours.seconds)
        hit = stage and _lives(stage, moment)
        if not hit:
            ours.seconds = moment  # it has ended before: machines are not even
        if stage and hit:
            _left_alone(tally, project, running, stage, ours.fresh)
        running.ended()
        project.run(*training.COMMAND)
        same = training.same_end(tally, ours, project, f"after kill {tally.tried}")
        tally.survived += bool(hit and same)
        shutil.rmtree(project.root / training.OUTPUT)
        (project.root / "dvc.lock").write_text(ours.project.read("dvc.lock"))
    return tally


def _lives(stage: psutil.Process, seconds: float) -> bool:
    with contextlib.suppress(psutil.TimeoutExpired):
        stage.wait(seconds)
    return ground.alive(stage)


def _left_alone(
    tally: Tally,
    project: Project,
    running: ground.Running,
    stage: psutil.Process,
    fresh: bool,
) -> None:
    """A second `dvc repro` at once: it may train when the first one's stage is gone, not before."""
    worker = ground.working(stage)
    running.process.kill()
    running.ended()
    began = time.monotonic()
    tally.tried += 1
    second = ground.started(project, *training.COMMAND, log="second", fresh=fresh)
    while time.monotonic() - began < SOON:
        trains = re.search(r"^(going on|epoch) ", second.said, re.MULTILINE)
        if not ground.alive(worker):
            break
        if trains:
            tally.broken.append(f"two writers: the stage {stage.pid} lives, the next one trains")
            break
        time.sleep(0.01)
    tally.demand(not ground.alive(worker), f"the stage lives {SOON} s after DVC")
    tally.longest("longest that a stage outlived DVC (s)", time.monotonic() - began)
    if second.ended():
        named = f"process {worker.pid} is writing it" in second.said
        tally.refused += tally.demand(named, f"refused without the pid: {second.said[-200:]}")
