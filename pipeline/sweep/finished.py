"""A finished job is an experiment of the repository, whichever sweep or commit it was made at."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.yaml_text import load_yaml
from pipeline.project import CHECKPOINT, LOG_TO_MLFLOW, PARAMS, TRAIN
from pipeline.provenance import git
from pipeline.resolve import dvc as resolve_dvc
from pipeline.sweep.plan import digest_in
from pipeline.training.history import HISTORY


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a job came to."""

    experiment: str
    objective: float
    """Of checkpoint.metric, at the chosen epoch."""
    run_id: str
    """MLflow's."""
    history: Path | None
    """history.csv of its training, in DVC's cache."""


def find(root: Path, name: str) -> Run | None:
    """Returns the run of a job, known by the digest in its name.

    None where there is no such experiment, or DVC's cache has lost what it came to.
    """
    return find_all(root, [name]).get(digest_in(name))


def find_all(root: Path, names: Iterable[str]) -> dict[str, Run]:
    """Returns the runs of those of the jobs that are finished, by the digests in their names, from
    one look at the experiments."""
    wanted, runs = {digest_in(name) for name in names}, dict[str, Run]()
    for experiment, commit, _ in git.experiments(root):
        digest = digest_in(experiment)
        if digest in wanted and digest not in runs and (run := _run(root, experiment, commit)):
            runs[digest] = run
    return runs


def _run(root: Path, experiment: str, commit: str) -> Run | None:
    stages = resolve_dvc.stages(git.file_at(root, commit, resolve_dvc.LOCK), experiment)
    params = load_yaml((git.file_at(root, commit, str(PARAMS)) or b"{}").decode(), experiment)
    metrics = _json(_file_of(root, stages.get(CHECKPOINT, {}), "metrics.json"))
    logged = _json(_file(root, stages.get(LOG_TO_MLFLOW, {})))
    if metrics is None or logged is None:
        return None
    objective = metrics[params["checkpoint"]["metric"]]
    history = _file_of(root, stages.get(TRAIN, {}), HISTORY)
    run_id = logged["run_id"]
    return Run(experiment=experiment, objective=objective, run_id=run_id, history=history)


def _file_of(root: Path, stage: Mapping[str, Any], name: str) -> Path | None:
    """Returns a file of the folder that a stage has made."""
    _, md5 = resolve_dvc.output(stage) or ("", "")
    files = resolve_dvc.listing(root, md5) if md5 else None
    return files.get(name) if files else None


def _file(root: Path, stage: Mapping[str, Any]) -> Path | None:
    md5 = next((str(out["md5"]) for out in stage.get("outs", [])), None)
    return resolve_dvc.stored(root, md5) if md5 else None


def _json(path: Path | None) -> dict[str, Any] | None:
    if path is None or not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content
