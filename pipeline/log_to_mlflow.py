"""log-to-mlflow: one run for one complete model, found again by the model's digest."""

import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import mlflow_store, provenance, stage
from pipeline.errors import VerificationFailed
from pipeline.logged import Files, Made, artifacts, drawing, source, tags
from pipeline.mlflow_store import KEY, Store
from pipeline.mlmodel import tensors
from pipeline.params import TrackingParams

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel, Run

# MLflow's limits.
LONGEST_DATASET_DIGEST = 36
PARAMS_A_CALL, METRICS_A_CALL = 100, 1000


def log_to_mlflow(
    complete_model: Path,
    checkpoint: Path,
    train: Path,
    data: Path,
    verify_report: Path,
    report: Path,
    params: TrackingParams,
) -> None:
    """A second time with the same complete model finds the first run and logs nothing."""
    made = Made(
        complete_model=complete_model,
        checkpoint=checkpoint,
        train=train,
        data=data,
        verify_report=verify_report,
    )
    if not made.verified["passed"]:
        raise VerificationFailed(f"{verify_report}: did not pass; nothing is logged")
    store = mlflow_store.locate(params.tracking.uri)
    with drawing(made) as pictures, mlflow_store.opened(store) as client:
        experiment = mlflow_store.experiment(client, store, params.tracking.experiment)
        run = find(client, store, experiment, made.digest)
        if run is None:
            _log(client, experiment, made, pictures)
            run = find(client, store, experiment, made.digest)
            assert run, f"{made.digest}: logged, and not found again"
    written = summary(store, run, made.digest)
    provenance.write_atomically(report, json.dumps(written, indent=1) + "\n")
    print(f"MLflow: run {run.info.run_name} ({run.info.run_id}); `make ui` shows it")


def find(client: "MlflowClient", store: Store, experiment: str, digest: str) -> "Run | None":
    """The finished run of this complete model; attempts that were cut short are removed.

    Under the store's lock no attempt is alive. On a server, those of other hosts may be.
    """
    named = f"tags.`{KEY}` = '{digest}'"
    runs = client.search_runs([experiment], named, order_by=["attributes.start_time ASC"])
    for run in runs:
        mine = store.local or run.data.tags.get("host") == socket.gethostname()
        if run.info.status != "FINISHED" and mine:
            _remove(client, run)
    return next((run for run in runs if run.info.status == "FINISHED"), None)


def _remove(client: "MlflowClient", run: "Run") -> None:
    """Into MLflow's bin, where `mlflow gc` finds it, and no longer as RUNNING."""
    for model in _models(client, run):
        client.delete_logged_model(model.model_id)
    if run.info.status == "RUNNING":
        client.set_terminated(run.info.run_id, "KILLED")
    client.delete_run(run.info.run_id)


def _models(client: "MlflowClient", run: "Run") -> "list[LoggedModel]":
    source = f"source_run_id = '{run.info.run_id}'"
    return list(client.search_logged_models([run.info.experiment_id], source))


def _log(
    client: "MlflowClient", experiment: str, made: Made, pictures: Callable[[], Files]
) -> None:
    """Everything of one run; FAILED when anything in it raises. A request whose answer was lost is
    sent again, so a server may hold a second run, which `find` removes."""
    run = client.create_run(experiment, run_name=made.run_name, tags=tags(made))
    with ending(client, run.info.run_id):
        _log_dataset(client, run, made)
        _log_metrics(client, run, made, _log_model(client, run, made))
        _log_params(client, run, made)
        _log_artifacts(client, run, [*artifacts(made), *pictures()])


@contextlib.contextmanager
def ending(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Without it a run that raised would stay RUNNING; where a server is gone it does, until the
    next attempt."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BaseException:
        with contextlib.suppress(MlflowException), mlflow_store.patience(5, retries=0):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _log_dataset(client: "MlflowClient", run: "Run", made: Made) -> None:
    """The raw data. The digest is cut to what MLflow's database holds; source and tag have it in
    full. pipeline/dvc_source.py reads the source."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    raw = made.raw
    spec = {"features": json.dumps(tensors(made.schema["inputs"]))}
    dataset = Dataset(
        name=made.flat_params.get("data.name", "data"),
        digest=raw["sha256"][:LONGEST_DATASET_DIGEST],
        source_type="dvc",
        source=json.dumps(source(made, mlflow_store.repository())),
        schema=json.dumps({"mlflow_tensorspec": spec}),
        profile=json.dumps(made.schema.get("rows", {})),
    )
    told = {"path": raw["path"], "rev": raw["rev"] or "none", "sha256": raw["sha256"]}
    told["provenance.data"] = provenance.digest(made.data)
    about = [InputTag(name, value) for name, value in told.items()]
    about.append(InputTag("mlflow.data.context", "training"))
    _log_input(client, run, DatasetInput(dataset, about))


def _log_input(client: "MlflowClient", run: "Run", named: "DatasetInput") -> None:
    """Of several runs that name the same new data to a server at once, its database lets one insert
    them; the others find them there a moment later."""
    from mlflow.exceptions import MlflowException

    for left in (3, 2, 1, 0):
        try:
            client.log_inputs(run.info.run_id, [named])
            return
        except MlflowException as error:
            if not left or "INSERT INTO datasets" not in str(error):
                raise


def _log_model(client: "MlflowClient", run: "Run", made: Made) -> str:
    """The directory as it lies becomes a logged model, the run's output. Gives its id."""
    model = client.create_logged_model(
        run.info.experiment_id,
        name=made.model,
        source_run_id=run.info.run_id,
        tags={KEY: made.digest},
        params=made.flat_params,
    )
    with mlflow_store.patience(mlflow_store.for_files(made.complete_model)):
        client.log_model_artifacts(model.model_id, str(made.complete_model))
    client.finalize_logged_model(model.model_id, "READY")
    for twin in _models(client, run):
        if twin.model_id != model.model_id:
            client.delete_logged_model(twin.model_id)
    _link(client, run, model.model_id)
    return model.model_id


def _link(client: "MlflowClient", run: "Run", model_id: str) -> None:
    """The only request that a server refuses when it comes again because its answer was lost."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    try:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])
    except MlflowException:
        outputs = client.get_run(run.info.run_id).outputs
        if model_id not in {each.model_id for each in (outputs.model_outputs if outputs else ())}:
            raise


def _log_metrics(client: "MlflowClient", run: "Run", made: Made, model_id: str) -> None:
    """Curves with the epoch as step; final values, at the chosen epoch, belong to the model too."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    curves = [
        Metric(name, value, now, epoch)
        for epoch, row in made.history
        for name, value in row.items()
    ]
    chosen = made.schema.get("epoch", 0)
    final = [
        Metric(name, float(value), now, chosen, model_id=model_id, run_id=run.info.run_id)
        for name, value in made.final.items()
    ]
    every = curves + final
    for start in range(0, len(every), METRICS_A_CALL):
        client.log_batch(run.info.run_id, metrics=every[start : start + METRICS_A_CALL])


def _log_params(client: "MlflowClient", run: "Run", made: Made) -> None:
    from mlflow.entities import Param

    every = [Param(name, value) for name, value in made.flat_params.items()]
    for start in range(0, len(every), PARAMS_A_CALL):
        client.log_batch(run.info.run_id, params=every[start : start + PARAMS_A_CALL])


def _log_artifacts(client: "MlflowClient", run: "Run", files: Files) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files:
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(run.info.run_id, scratch)


def summary(store: Store, run: "Run", digest: str) -> dict[str, Any]:
    """The content of reports/mlflow.json; the same for a run however often it is asked for."""
    model_id = run.outputs.model_outputs[0].model_id if run.outputs else None
    place = f"{store.page}/#/experiments/{run.info.experiment_id}"
    return {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "experiment_id": run.info.experiment_id,
        "model_id": model_id,
        "model_uri": f"models:/{model_id}",
        "tracking_uri": store.shown,
        "links": {
            "run": f"{place}/runs/{run.info.run_id}",
            "model": f"{place}/models/{model_id}",
        },
        "complete_model": digest,
    }


if __name__ == "__main__":
    stage.main(log_to_mlflow)
