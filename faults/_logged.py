"""What a store of MLflow's holds, read from its database and its files."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class Held(NamedTuple):
    """Of a run, what does not depend on when and where it was logged."""

    params: dict[str, str]
    metrics: list[tuple[str, int, float]]
    models: list[tuple[str, int, dict[str, str]]]
    """State, number of metrics, files by sha256."""
    inputs: list[tuple[str, int]]
    files: dict[str, str]


def held(
    store: str, experiment: str, files: Path | None = None
) -> tuple[list[tuple[str, str]], list[Held]]:
    """Status and lifecycle of every run of an experiment; and all that the active ones hold.

    `files` is where a server keeps them.
    """
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return [], []
    runs = client.search_runs([found.experiment_id], run_view_type=ViewType.ALL)
    states = [(run.info.status, run.info.lifecycle_stage) for run in runs]
    active = [run for run in runs if run.info.lifecycle_stage == "active"]
    return states, [_held(client, run, files) for run in active]


def _held(client: "MlflowClient", run: "Run", files: Path | None) -> Held:
    histories = {n: client.get_metric_history(run.info.run_id, n) for n in run.data.metrics}
    source = f"source_run_id = '{run.info.run_id}'"
    models = client.search_logged_models([run.info.experiment_id], source)
    return Held(
        {k: v for k, v in run.data.params.items() if not k.startswith("tracking.")},
        [(n, m.step, m.value) for n, history in sorted(histories.items()) for m in history],
        [(str(m.status), len(m.metrics or ()), _files(m.artifact_location, files)) for m in models],
        [(i.dataset.digest, len(i.tags)) for i in run.inputs.dataset_inputs],
        _files(run.info.artifact_uri, files),
    )


def _files(place: Any, files: Path | None) -> dict[str, str]:
    """But for pictures and params.yaml, which names store and experiment."""
    root = Path(str(place).removeprefix("file://"))
    if files:
        root = files / str(place).removeprefix("mlflow-artifacts:/")
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".png" and path.name != "params.yaml"
    }
