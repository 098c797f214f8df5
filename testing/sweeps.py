"""A project whose stages take no time, for what holds of a sweep whatever its jobs run."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.provenance import git
from pipeline.resolve import dvc as resolve_dvc
from testing import preloaded
from testing.project import PATH, Project, make_project

STAGES = """\
stages:
  train:
    cmd: python work.py
    params: [train]
    deps: [work.py]
    outs: [artifacts/train]
  checkpoint:
    cmd: python choose.py
    deps: [artifacts/train]
    outs: [artifacts/checkpoint]
  log-to-mlflow:
    cmd: python log.py
    deps: [artifacts/checkpoint]
    outs: [reports/mlflow.json]
"""

WORK = r"""\
import os, pathlib, re, time

def above():  # the shell that has started this process, and what is above it
    with open(f"/proc/{os.getppid()}/stat") as stat:
        return os.getppid(), stat.read().rpartition(")")[2].split()[1]

dvc = above()
lr = float(re.search(r"^  lr: (.+)", open("params.yaml").read(), re.M)[1])
root = pathlib.Path(os.environ["DVC_ROOT"])
with open(root / "began", "a") as began:
    began.write(f"{lr:g}\n")
out = pathlib.Path("artifacts/train")
out.mkdir(parents=True, exist_ok=True)
(out / "unfinished.json").touch()
rows = "epoch,val/accuracy\n"
for epoch in (1, 2):
    rows += f"{epoch},{(1 - lr) * epoch / 2}\n"
    (out / "partial").write_text(rows)
    (out / "partial").rename(out / "history.csv")
    while epoch == 1 and (root / f"hold-{lr:g}").exists():
        time.sleep(0.1)
        if above() != dvc:  # which is gone, and the same stage may begin anew
            raise SystemExit("error: DVC is gone")
if (root / f"fail-{lr:g}").exists():
    raise SystemExit(f"error: lr {lr:g} is not to be")
(out / "unfinished.json").unlink()
"""

CHOOSE = r"""\
import csv, json, pathlib

rows = list(csv.DictReader(open("artifacts/train/history.csv")))
out = pathlib.Path("artifacts/checkpoint")
out.mkdir(parents=True, exist_ok=True)
(out / "metrics.json").write_text(json.dumps({"val/accuracy": float(rows[-1]["val/accuracy"])}))
"""

LOG = r"""\
import hashlib, json, os, pathlib, re, sqlite3

lr = re.search(r"^  lr: (.+)", open("params.yaml").read(), re.M)[1]
run = hashlib.md5(lr.encode()).hexdigest()
store = pathlib.Path(os.environ["DVC_ROOT"]) / "mlflow.db"
if store.exists():
    row = f"('{run}', '{lr}', 0, 'FINISHED', 'active', 0, 0)"
    named = "run_uuid, name, experiment_id, status, lifecycle_stage, start_time, end_time"
    with sqlite3.connect(store, timeout=60) as tables:
        tables.execute(f"insert or ignore into runs ({named}) values {row}")
out = pathlib.Path("reports/mlflow.json")
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps({"run_id": run}))
"""
"""A run of MLflow's, without MLflow, whose import would take longer than all else."""

FOUR = tuple(f"{number / 10:g}" for number in range(1, 5))
PRUNING = (
    *("hydra/sweeper=optuna", "train.lr=0.1,0.9", "hydra.sweeper.seed=2"),
    *("hydra.sweeper.trials=4", "hydra.sweeper.at_once=1"),
    *("hydra.sweeper.pruner=MedianPruner", "+hydra.sweeper.pruner_options.n_startup_trials=1"),
)
"""A study whose first trial has a rate of 0.1, and whose second a worse one of 0.9."""


def make_quick(root: Path) -> Project:
    """`hold-<lr>` in the root keeps a job running after its first epoch of two, `fail-<lr>` fails
    it, `began` has each lr."""
    project = make_project(root)
    files = {"dvc.yaml": STAGES, "work.py": WORK, "choose.py": CHOOSE, "log.py": LOG}
    for name, text in files.items():
        (root / name).write_text(text)
    project.commit("stages that take no time")
    return project


def one_after_the_other(folder: Path) -> None:
    """Leaves results.json: what four runs in one work tree came to, by their lr."""
    project, made = make_quick(folder / "project"), {}
    for lr in FOUR:
        project.run("python", "-m", "pipeline", f"train.lr={lr}")
        made[lr] = _outs((project.root / "dvc.lock").read_bytes())
    (folder / "results.json").write_text(json.dumps(made))


def results(project: Project) -> dict[str, list[str]]:
    """The md5 of each out of each experiment, by its lr."""
    lrs = {name: f"{lr:g}" for name, lr in rates(project).items()}
    locks = {
        name: git.file_at(project.root, commit, "dvc.lock")
        for name, commit in experiments(project).items()
    }
    return {lrs[name]: _outs(lock) for name, lock in locks.items()}


def _outs(lock: bytes | None) -> list[str]:
    stages = resolve_dvc.stages(lock, "dvc.lock").values()
    return sorted(str(out["md5"]) for stage in stages for out in stage["outs"])


def sweep(
    project: Project, *words: str, check: bool = True, **environ: str
) -> subprocess.CompletedProcess:
    """Its jobs' processes are real where an engine has started them, as those of `started` are."""
    return project.run("python", "-m", "pipeline", "-m", *words, check=check, **environ)


def began(project: Project) -> list[str]:
    """The lr of each job that began, in order of their values."""
    path = project.root / "began"
    return sorted(path.read_text().split()) if path.exists() else []


def experiments(project: Project) -> dict[str, str]:
    """Name and commit of each experiment."""
    return {name: commit for name, commit, _ in git.experiments(project.root)}


@contextlib.contextmanager
def started(
    project: Project, *words: str, fresh: bool = True, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A sweep in a group of its own, to which a terminal's Ctrl-C goes; `said` has what it says, as
    an assertion has that fails meanwhile. Not `fresh`, where nothing is done to the sweep's own
    process: it begins with its imports done."""
    process = subprocess.Popen(
        [sys.executable if fresh else preloaded.python(), "-m", "pipeline", "-m", *words],
        cwd=project.root,
        env={**os.environ, "PATH": PATH, **environ},
        stdout=(project.root / "said").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    except AssertionError as fault:
        fault.add_note(project.read("said"))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(met: Callable[[], object], within: float = 600.0) -> None:
    """Waits for what must come; fails where it does not."""
    end = time.monotonic() + within
    while not met():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def parents(project: Project) -> list[dict[str, str]]:
    """Sweep, status and page's text of each parent run in the project's store."""
    with sqlite3.connect(project.root / "mlflow.db") as store:
        rows = store.execute(
            "select t.value, r.status, n.value from tags t join runs r using (run_uuid) "
            "left join tags n on n.run_uuid = r.run_uuid and n.key = 'mlflow.note.content' "
            "where t.key = 'sweep'"
        ).fetchall()
    return [dict(zip(("sweep", "status", "note"), row, strict=True)) for row in rows]


def children(project: Project) -> int:
    """How many runs have the one parent run of the project's store."""
    with sqlite3.connect(project.root / "mlflow.db") as store:
        [(parents, count)] = store.execute(
            "select count(distinct value), count(*) from tags where key = 'mlflow.parentRunId'"
        ).fetchall()
    assert parents == min(count, 1)
    return int(count)


def rates(project: Project) -> dict[str, float]:
    """The lr of each experiment, by its name, as DVC shows it."""
    shown = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    revs = [each["revs"][0] for row in shown for each in row["experiments"] or []]
    return {
        rev["name"]: rev["data"]["params"]["params.yaml"]["data"]["train"]["lr"] for rev in revs
    }
