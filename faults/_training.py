"""One training, disturbed again and again until it comes to its end."""

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from faults import _ground as ground
from faults.tally import Tally
from pipeline.config.yaml_text import load_yaml
from pipeline.run import resume_state
from testing import preloaded
from testing.project import Project

COMMAND = ("dvc", "repro", "train")
MODULE = "pipeline.train"
OUTPUT = Path("artifacts/train")


@dataclass
class Setting:
    """A project up to `prepare`, and what its training is when nobody disturbs it."""

    project: Project
    seconds: float
    statement: bytes
    checkpoint: bytes
    """Of the checkpoint that comes of it; none unless asked for."""
    module: str = MODULE
    """What the processes run that are hit, and how many of them there are."""
    processes: int = 1
    fresh: bool = True
    """Whether these import what they need, or come with their imports done, so that no kill strikes
    while they import. That changes no file."""


def setting(
    scratch: Path,
    *overrides: str,
    checkpoint: bool = False,
    timed: bool = True,
    module: str = MODULE,
    processes: int = 1,
    fresh: bool = True,
) -> Setting:
    """`checkpoint`: with what comes of the training; `timed`: with the seconds of what is hit, for
    who needs a moment in them."""
    project = ground.prepared(scratch / "start" / "project", *overrides)
    undisturbed = project.copied(scratch / "undisturbed" / "project")
    if not fresh:
        framework = load_yaml(project.read("params.yaml"), "params.yaml")["model"]["framework"]
        preloaded.warm("dvc", framework, *(["ranks"] if processes > 1 else []))
    seconds = 0.0
    if timed:
        (seconds,) = ground.lives(undisturbed, [module], *COMMAND, fresh=fresh)
    else:
        undisturbed.run(*COMMAND)
    if checkpoint:
        undisturbed.run("dvc", "repro", "checkpoint")
    statements = (ground.statement(undisturbed, name) for name in ("train", "checkpoint"))
    return Setting(project, seconds, *statements, module, processes, fresh)


def epochs(said: str) -> list[int]:
    """Those that were reported as done, in order."""
    return [int(number) for number in re.findall(r"^epoch (\d+)/", said, re.MULTILINE)]


def saved_epochs(project: Project) -> list[Path]:
    """Returns the checkpoints that an unfinished training has recorded as whole. Of one that was
    written and not recorded before the kill, nothing can be noticed: nobody goes on from it."""
    saved = json.loads(project.read(str(OUTPUT / resume_state.NAME)))["saved"]
    return [project.root / OUTPUT / name for name in sorted(saved) if name.startswith("epoch_")]


def cut_short(project: Project, after: int, fresh: bool = True) -> None:
    """Kills the training once so many epochs are done."""
    running = ground.started(project, *COMMAND, fresh=fresh)
    stage = ground.stage_of(running, MODULE)
    assert stage, running.said
    while len(epochs(running.said)) < after:
        assert ground.alive(stage), running.said
        time.sleep(0.001)
    assert ground.hit(stage, 0), "the training was over before it could be killed"
    running.ended()


def same_end(tally: Tally, ours: Setting, project: Project, what: str) -> bool:
    """Statement and bytes of the training."""
    same = ground.statement(project, "train") == ours.statement
    same &= ground.whole(project.root / OUTPUT)
    return tally.demand(same, f"{what}: other bytes than those of the undisturbed training")


Look = Callable[[ground.Running, psutil.Process, float], None]
"""Sees a command, which of its processes was killed, and how long it then took to end."""


def ends_the_same(
    tally: Tally,
    ours: Setting,
    scratch: Path,
    rng: Random,
    repeats: int,
    look: Look = lambda running, process, seconds: None,
) -> None:
    """Kills trainings, each again and again until it comes to its end, that many times in all."""
    while tally.tried < repeats:
        tally.count("trainings")
        number = tally.measured["trainings"]
        project = ours.project.copied(scratch / f"training_{number}" / "project")
        before = tally.tried
        last = 0
        while (said := _killed(tally, ours, project, rng, repeats, look)) is not None:
            last = _went_on_after(tally, last, said)
        held = same_end(tally, ours, project, f"training {number}")
        project.run("dvc", "repro", "checkpoint")
        same = ground.statement(project, "checkpoint") == ours.checkpoint
        held &= tally.demand(same, f"training {number}: another checkpoint comes of it")
        tally.survived += (tally.tried - before) * held
        shutil.rmtree(project.root.parent)


def _killed(
    tally: Tally, ours: Setting, project: Project, rng: Random, repeats: int, look: Look
) -> str | None:
    """What the run printed until it was killed; None when it came to its end."""
    if tally.tried == repeats:
        project.run(*COMMAND)
        return None
    running = ground.started(project, *COMMAND, fresh=ours.fresh)
    processes = ground.processes_of(running, ours.module, ours.processes)
    process = rng.choice(processes) if processes else None
    part = 1.0 if ours.fresh else 0.5  # a training that is missed is one more
    if tally.tried % 2:  # imports take most of the time: every second kill strikes beyond them
        _await_epoch(process, running)
        part = 0.25
    moment = rng.uniform(0, part * ours.seconds)
    killed = process and ground.hit(process, moment)
    if not killed:
        ours.seconds = moment / part  # it has ended before: machines are not even
    since = time.monotonic()
    code = running.ended()
    if not killed:
        tally.demand(code == 0, f"undisturbed rerun ended with {code}: {running.said[-300:]}")
        return None
    tally.tried += 1
    _place(tally, project, running.said)
    if process:
        look(running, process, time.monotonic() - since)
    return running.said


def _await_epoch(process: psutil.Process | None, running: ground.Running) -> None:
    while process and ground.alive(process) and not epochs(running.said):
        time.sleep(0.005)


def _place(tally: Tally, project: Project, said: str) -> None:
    """Counts where in the training a kill struck."""
    if list((project.root / OUTPUT).glob("*.partial*")):
        tally.count("kills within a write")
    elif not epochs(said):
        tally.count("kills before a run's first epoch")
    else:
        tally.count("kills between writes")


def _went_on_after(tally: Tally, last: int, said: str) -> int:
    """The newest epoch reported so far. Each is reported once: reported is saved."""
    found = epochs(said)
    if found:
        again = last + 2 - found[0]
        tally.measured["most epochs repeated by a kill"] = max(
            again, tally.measured.get("most epochs repeated by a kill", 0)
        )
        tally.demand(again <= 1, f"epoch {found[0]} was done again after epoch {last} was reported")
    return max([last, *found])
