"""Params, data or code changed beside an unfinished training, or while a stage runs."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults import _ground as ground
from faults import _training as training
from faults.tally import Tally
from pipeline import provenance
from testing.project import Project

REPEATS = 1  # of each change
SHORT = 1
MUST = "the checkpoint is refused, and it says so; dvc.lock never records what did not happen"
PARAMS = ("experiment=smoke", "train.epochs=12", "train.batch_size=16", "checkpoint.many=16")


def _text(path: str, before: str, after: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        content = project.read(path)
        assert before in content, f"{path}: has no {before!r}"
        (project.root / path).write_text(content.replace(before, after, 1))

    return change


def _row(project: Project) -> None:
    """The first row once more, at the end."""
    file = project.root / "data/digits.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines, lines[1]]))


@dataclass(frozen=True)
class Change:
    what: str
    make: Callable[[Project], None]
    stage: str
    """Whose input it is."""
    word: str
    """By which it must be told."""


CHANGES = (
    Change(
        "params",
        _text("params.yaml", "batch_size: 16", "batch_size: 32"),
        "train",
        "train.batch_size",
    ),
    Change("data", _row, "prepare", "data"),
    Change(
        "model code",
        _text("models/torch_mlp.py", "import", "# changed\nimport"),
        "train",
        "models",
    ),
    Change(
        "pipeline code",
        _text("pipeline/training/metrics.py", '"""', '"""Changed. '),
        "train",
        "pipeline/training",
    ),
)


def run(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    start = ground.project(scratch / "start" / "project", *PARAMS)
    prepared = start.copied(scratch / "prepared" / "project")
    prepared.run("dvc", "repro", "prepare")
    unfinished = prepared.copied(scratch / "unfinished" / "project")
    training.cut_short(unfinished, 2, fresh=False)
    for number in range(repeats):
        for change in CHANGES:
            here = scratch / f"{number}"
            before = start if change.stage == "prepare" else prepared
            alone = _meanwhile(tally, change, before, here)
            _refused(tally, change, unfinished, alone, here)
            shutil.rmtree(here)
    return tally


def _refused(
    tally: Tally, change: Change, unfinished: Project, alone: Project, scratch: Path
) -> None:
    """The old epochs are not gone on from, and the result is that of the change alone."""
    ours = unfinished.copied(scratch / "with" / "project")
    change.make(ours)
    tally.tried += 1
    said = _trained(ours, change)
    told = re.search(r"^artifacts/train: begun from other ", said, re.MULTILINE)
    held = tally.demand(told is not None, f"{change.what}: not told: {said[-300:]}")
    held &= tally.demand("going on" not in said, f"{change.what}: went on from the old epochs")
    same = ground.statement(ours, "train") == ground.statement(alone, "train")
    held &= tally.demand(
        same and ground.whole(ours.root / training.OUTPUT),
        f"{change.what}: other bytes than of the change alone",
    )
    tally.refused += held


def _trained(project: Project, change: Change) -> str:
    """Runs what the change concerns, without DVC, which has no part in it."""
    stages = ("prepare", "train") if change.stage == "prepare" else ("train",)
    return "".join(project.stage(name, check=False).stdout for name in stages)


def _meanwhile(tally: Tally, change: Change, start: Project, scratch: Path) -> Project:
    """The stage ends in one line and DVC records nothing of it; run again it is right, which is
    given."""
    stage = change.stage
    project = start.copied(scratch / "meanwhile" / "project")
    running = ground.started(project, "dvc", "repro", stage, fresh=False)
    output = project.root / "artifacts" / ("data" if stage == "prepare" else stage)
    while not (output / "unfinished.json").is_file():
        assert ground.alive(running.process), running.said
        time.sleep(0.001)
    os.killpg(running.process.pid, signal.SIGSTOP)  # before the stage has ended
    assert (output / "unfinished.json").is_file(), running.said
    change.make(project)
    os.killpg(running.process.pid, signal.SIGCONT)
    tally.tried += 1
    code = running.ended()
    told = rf"^error: {stage}: .*{re.escape(change.word)}.*changed while it ran"
    line = re.search(told, running.said, re.MULTILINE)
    held = tally.demand(
        bool(code and line), f"{change.what} meanwhile: {code}: {running.said[-300:]}"
    )
    recorded = re.search(rf"^  {stage}:", project.read("dvc.lock"), re.MULTILINE)
    held &= tally.demand(not recorded, f"{change.what} meanwhile: dvc.lock records {stage}")
    stated = (output / provenance.NAME).exists()
    held &= tally.demand(not stated, f"{change.what} meanwhile: there is a statement")
    again = project.run(*training.COMMAND).stdout
    held &= tally.demand("going on" not in again, f"{change.what} meanwhile: went on: {again}")
    held &= ground.whole(project.root / training.OUTPUT)
    tally.refused += held
    return project
