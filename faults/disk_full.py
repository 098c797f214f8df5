"""Disk full (a small tmpfs) at 10, 50, 90 % of what each stage writes."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faults import _ground as ground
from faults._apart import isolated
from faults.tally import Tally
from pipeline import provenance
from pipeline.run import backup
from testing.preloaded import migrated
from testing.project import TINY, Project

REPEATS = 3  # sizes of the disk, for each stage and framework
SHORT = 1
MUST = "one line naming the space; earlier artifacts intact"
PARTS = (0.5, 0.1, 0.9)
STORE = ("verify.checks=[integrity]", "tracking.uri=sqlite:///store/mlflow.db")
FORMATS = {
    "torch_mlp": "export.formats=[torch_export,onnx,torch_pickle]",
    "keras_mlp": "export.formats=[saved_model,keras_archive,onnx,litert]",
}
AMPLE = 2 << 30
MOUNTED = "FAULTS_MAY_MOUNT"
"""Set in the name space that the fault runs in, whose mounts end with it."""

ALONE = ("unshare", "--user", "--map-root-user", "--mount")


@dataclass
class Writing:
    """A stage, the mounted place that it writes to, and what in it is its own."""

    stage: str
    place: str
    outs: tuple[str, ...]

    @property
    def output(self) -> str:
        return self.outs[0]


STAGES = (
    Writing("prepare", "artifacts", ("artifacts/data",)),
    Writing("train", "artifacts", ("artifacts/train",)),
    Writing("checkpoint", "artifacts", ("artifacts/checkpoint",)),
    Writing("export-complete", "artifacts", ("artifacts/complete-model",)),
    Writing("verify", "reports", ("reports/verify.json", "reports/verify.html")),
    Writing("log-to-mlflow", "store", ("store/mlflow.db", "store/mlartifacts")),
)


def unavailable(scratch: Path) -> str | None:
    """Why no small disk can be had here."""
    place = scratch / "mountable"
    place.mkdir(parents=True, exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place))
    try:
        done = subprocess.run([*ALONE, *mount], capture_output=True, text=True)
    except FileNotFoundError as fault:
        return f"no tmpfs can be mounted here: {fault}"
    return f"no tmpfs can be mounted here: {done.stderr.strip()}" if done.returncode else None


def run(repeats: int, scratch: Path) -> Tally:
    if MOUNTED in os.environ:
        return _filled(repeats, scratch)
    if reason := unavailable(scratch):
        return Tally(broken=[reason])
    return isolated("disk_full", repeats, scratch / "alone", *ALONE, "env", f"{MOUNTED}=1")


def _filled(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    for model in list(FORMATS)[: 1 if repeats < len(PARTS) else None]:
        project = ground.project(scratch / model, *TINY, *STORE, f"model={model}", FORMATS[model])
        for place in ("artifacts", "reports", "store"):
            (project.root / place).mkdir(exist_ok=True)
            _mount(project.root / place, AMPLE)
        for number, writing in enumerate(STAGES):
            earlier = [each.output for each in STAGES[:number] if each.place == "artifacts"]
            _fill(tally, project, writing, earlier, PARTS[:repeats])
    return tally


def _mount(place: Path, size: int, *options: str) -> None:
    options = (*options, f"size={size}")
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)], check=True
    )


def _used(place: Path) -> int:
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _fill(
    tally: Tally, project: Project, writing: Writing, earlier: list[str], parts: Sequence[float]
) -> None:
    place = project.root / writing.place
    before = _used(place)
    project.stage(writing.stage, **migrated.BY_ITSELF)
    written = _used(place) - before
    right = _bytes(project, writing)
    for part in parts:
        _remove(project, writing)
        what = f"{writing.stage} with room for {part:.0%} of {written:,} bytes"
        _mount(place, before + max(4096, int(part * written)), "remount")
        tally.tried += 1
        began = time.monotonic()
        done = project.stage(writing.stage, check=False, **migrated.BY_ITSELF)
        tally.longest("longest until it was told (s)", time.monotonic() - began)
        held = _told(tally, what, writing, done.returncode, done.stdout)
        held &= _intact(tally, what, project, writing, earlier)
        tally.refused += held
        _mount(place, AMPLE, "remount")
        again = project.stage(writing.stage, check=False, **migrated.BY_ITSELF)
        held = again.returncode == 0 and _bytes(project, writing) == right
        said = f"{what}: the rerun with room: {again.stdout[-300:]}"
        tally.survived += tally.demand(held, said)


def _told(tally: Tally, what: str, writing: Writing, code: int, said: str) -> bool:
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    held = code == 1 and len(lines) == 1 and said.rstrip().endswith(lines[0])
    held = held and "no space left" in lines[0] and "MiB free" in lines[0]
    return tally.demand(held and "Traceback" not in said, f"{what}: {code}: {said[-400:]}")


def _intact(
    tally: Tally, what: str, project: Project, writing: Writing, earlier: list[str]
) -> bool:
    """Earlier artifacts; and nothing that looks whole in this one's place."""
    held = True
    for name in earlier:
        faults = provenance.faults(project.root / name)
        held &= tally.demand(not faults, f"{what}: {faults}")
    if writing.place == "artifacts":
        output = project.root / writing.output
        held &= tally.demand(not (output / provenance.NAME).exists(), f"{what}: a statement")
        left = [
            path for path in output.rglob("*") if writing.stage != "train" or "partial" in path.name
        ]
        held &= tally.demand(not left, f"{what}: left {[path.name for path in left]}")
    return held


def _remove(project: Project, writing: Writing) -> None:
    for out in writing.outs:
        path = project.root / out
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        backup.remove(path)


def _bytes(project: Project, writing: Writing) -> object:
    """What must be the same afterwards."""
    if writing.place == "store":
        with contextlib.closing(sqlite3.connect(project.root / writing.output)) as store:
            states = store.execute("select status from runs where lifecycle_stage = 'active'")
            running = store.execute("select count(*) from runs where status = 'RUNNING'")
            return states.fetchall(), running.fetchall()
    if writing.place == "reports":
        return ground.untimed(project)
    path = project.root / writing.output
    return (path / provenance.NAME if path.is_dir() else path).read_bytes()
