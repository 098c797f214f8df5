"""A finished job is an experiment of the repository, whichever sweep or commit it was made at."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.yaml_text import load_yaml
from pipeline.project import CHECKPOINT, LOG_TO_MLFLOW, PARAMS
from pipeline.provenance import git
from pipeline.resolve import dvc as resolve_dvc
from pipeline.sweep.plan import digest_in


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a job came to."""

    experiment: str
    objective: float
    """Of checkpoint.metric, at the chosen epoch."""
    run_id: str
    """MLflow's."""


def find(root: Path, name: str) -> Run | None:
    """Returns the run of a job, known by the digest in its name.

    None where there is no such experiment, or DVC's cache has lost what it came to.
    """
    for experiment, commit, _ in git.experiments(root):
        if digest_in(experiment) == digest_in(name) and (run := _run(root, experiment, commit)):
            return run
    return None


def _run(root: Path, experiment: str, commit: str) -> Run | None:
    stages = resolve_dvc.stages(git.file_at(root, commit, resolve_dvc.LOCK), experiment)
    params = load_yaml((git.file_at(root, commit, str(PARAMS)) or b"{}").decode(), experiment)
    _, checkpoint = resolve_dvc.output(stages.get(CHECKPOINT, {})) or ("", "")
    files = resolve_dvc.listing(root, checkpoint) if checkpoint else None
    metrics = _json(files.get("metrics.json")) if files else None
    logged = _json(_file(root, stages.get(LOG_TO_MLFLOW, {})))
    if metrics is None or logged is None:
        return None
    objective = metrics[params["checkpoint"]["metric"]]
    return Run(experiment=experiment, objective=objective, run_id=logged["run_id"])


def _file(root: Path, stage: Mapping[str, Any]) -> Path | None:
    md5 = next((str(out["md5"]) for out in stage.get("outs", [])), None)
    return resolve_dvc.stored(root, md5) if md5 else None


def _json(path: Path | None) -> dict[str, Any] | None:
    if path is None or not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content
