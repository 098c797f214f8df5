"""SIGKILL at random times in each other stage, then `dvc repro`."""

import contextlib
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import psutil

from faults import _ground as ground
from faults.tally import Tally, generator
from pipeline.config.yaml_text import dump_yaml, load_yaml
from testing import preloaded
from testing.project import TINY, Project

REPEATS = 20  # of each stage
SHORT = 1
MUST = "the rerun completes; same bytes; no debris; no MLflow run left RUNNING"
STAGES = ("compose", "prepare", "checkpoint", "export-complete", "verify", "log-to-mlflow")
MODULES = {stage: f"pipeline.{stage.replace('-', '_')}" for stage in STAGES}
COMPOSED = ("params.yaml", "conf.lock.yaml")
OUTS = {
    "prepare": ["artifacts/data"],
    "checkpoint": ["artifacts/checkpoint"],
    "export-complete": ["artifacts/complete-model"],
    "verify": ["reports/verify.json", "reports/verify.html"],
    "log-to-mlflow": ["reports/mlflow.json"],
}
VARYING = ("dvc.lock", "reports/mlflow.json", "reports/verify.html")
COMMAND = ("dvc", "repro", "--no-run-cache", "--single-item")

STORE = """
from pipeline.tracking import store as mlflow_store
store = mlflow_store.locate(None)
with mlflow_store.opened(store) as client:
    mlflow_store.experiment(client, store, "complete-models")
"""

ORPHANS = 10
"""Seconds within which what a killed stage had started must have ended by itself."""


@dataclass
class Setting:
    """A whole pipeline, run; the bytes of its files, and what `compose` had to work from."""

    project: Project
    files: dict[str, str]
    params: dict[str, str]
    store: bytes
    """MLflow's database, made but with no run in it."""
    fresh: bool = True
    """Whether what is killed does its imports itself."""


def run(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    ours, lives = _setting(scratch, fresh=repeats > SHORT)
    for stage in STAGES:
        rng, before, broken = generator(f"{__name__} {stage}"), tally.tried, len(tally.broken)
        module, seconds = MODULES[stage], lives[stage]
        while tally.tried < before + repeats:
            _undo(ours, stage, fresh=rng.random() < 0.5)
            moment = rng.uniform(0, seconds)
            # The stage ended before that moment, or might have lived longer: machines are not even.
            seconds = seconds * 1.05 if _killed(tally, ours, stage, module, moment) else moment
        more = len(tally.broken) - broken
        tally.measured[stage] = f"{repeats} within {seconds:.1f} s" + f", {more} broken" * bool(
            more
        )
    return tally


def _setting(scratch: Path, fresh: bool) -> tuple[Setting, dict[str, float]]:
    """With the seconds that each stage's process lives, undisturbed."""
    project = ground.project(
        scratch / "start" / "project", *TINY, "verify.checks=[integrity,parity]"
    )
    defaults = project.root / "conf/checkpoint/default.yaml"
    defaults.write_text(defaults.read_text().replace("steps: 6", "steps: 5"))
    project.commit("another default, which compose has to bring into params.yaml")
    params = {name: project.read(name) for name in COMPOSED}
    *most, last = MODULES.values()
    if not fresh:
        preloaded.warm("dvc", "plain", "pytorch", "mlflow")
    seconds = ground.lives(project, most, "dvc", "repro", "verify", fresh=fresh)
    preloaded.run("mlflow", project.root, "-c", STORE).check_returncode()
    store = (project.root / "mlflow.db").read_bytes()
    seconds += ground.lives(project, [last], "dvc", "repro", fresh=fresh)
    lives = dict(zip(MODULES, seconds, strict=True))
    return Setting(project, _kept(project), params, store, fresh), lives


def _kept(project: Project) -> dict[str, str]:
    """Bytes, but for what measures or names a run: timings, MLflow's ids, the lock of both."""
    found = {k: "" if k in VARYING else digest for k, digest in ground.files(project).items()}
    if "reports/verify.json" in found:
        found["reports/verify.json"] = ground.untimed(project)
    return found


def _undo(ours: Setting, stage: str, fresh: bool) -> None:
    """The stage has not run yet; MLflow's store is fresh, or made and without a run."""
    root = ours.project.root
    if stage == "compose":
        for name, content in ours.params.items():
            (root / name).write_text(content)
        return
    lock = load_yaml((root / "dvc.lock").read_text(), "dvc.lock")
    lock["stages"].pop(stage, None)
    (root / "dvc.lock").write_text(dump_yaml(lock))
    for out in OUTS[stage]:
        if (root / out).is_dir():
            shutil.rmtree(root / out)
        (root / out).unlink(missing_ok=True)
    if stage == "log-to-mlflow":
        shutil.rmtree(root / "mlartifacts", ignore_errors=True)
        for path in root.glob("mlflow.db*"):
            path.unlink()
        if not fresh:
            (root / "mlflow.db").write_bytes(ours.store)


def _killed(tally: Tally, ours: Setting, stage: str, module: str, moment: float) -> bool:
    """Whether it was there to be killed."""
    running = ground.started(ours.project, *COMMAND, stage, fresh=ours.fresh)
    process = ground.stage_of(running, module)
    with contextlib.suppress(psutil.TimeoutExpired):
        if process:
            process.wait(moment)
    family = ground.family(process) if process else []
    if not (process and ground.hit(process, 0)):
        running.ended()  # DVC is still to record what the stage has written
        return False
    tally.tried += 1
    running.ended()
    again = ours.project.run(*COMMAND, stage, check=False)
    what = f"{stage} killed after {moment:.2f} s"
    faults = [] if again.returncode == 0 else [f"rerun failed: {again.stdout[-300:]}"]
    faults += _debris(ours, family) + (_runs(ours) if stage == "log-to-mlflow" else [])
    tally.survived += not faults
    tally.broken += [f"{what}: {fault}" for fault in faults]
    return True


def _debris(ours: Setting, family: list[psutil.Process]) -> list[str]:
    """What is not as after an undisturbed run: files, temporary files, processes."""
    _, orphans = psutil.wait_procs(family, ORPHANS)
    found = [f"still running: {' '.join(each.cmdline())[:100]}" for each in orphans]
    for each in orphans:
        each.kill()
    kept = _kept(ours.project)
    different = {name for name, _ in kept.items() ^ ours.files.items()}
    found += [f"left, missing or changed: {name}" for name in sorted(different)]
    found += [f"left in TMPDIR: {name}" for name in ground.litter(ours.project)]
    shutil.rmtree(ours.project.root.parent / "tmp")
    return found


def _runs(ours: Setting) -> list[str]:
    with contextlib.closing(sqlite3.connect(ours.project.root / "mlflow.db")) as store:
        states = store.execute("select status, lifecycle_stage from runs").fetchall()
        models = store.execute("select lifecycle_stage from logged_models").fetchall()
    found = [f"a run left RUNNING among {states}"] if "RUNNING" in dict(states) else []
    if states.count(("FINISHED", "active")) != 1 or models.count(("active",)) != 1:
        found.append(f"MLflow has the runs {states} and the models {models}")
    return found
