"""A complete model's run in MLflow: a projection of the artifacts, found again by their digest.

Whatever is logged may be logged again: the run, its model, each metric and each file are then the
same ones. So an attempt that was cut short is taken up and finished, on whatever machine.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.complete_model.mlmodel import tensors
from pipeline.config.params import Tracking
from pipeline.tracking import registry, requests
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.content import (
    Details,
    Files,
    Made,
    artifacts,
    description,
    drawing,
    source,
    tags,
)
from pipeline.tracking.store import KEY, Store
from pipeline.tracking.upload import upload, upload_reference

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

DATASET_DIGEST = 12
"""Digits of it that MLflow shows beside the data's name; source and tag have it in full."""

# MLflow's limits.
PARAMS_A_CALL, METRICS_A_CALL = 100, 1000


def project(
    client: "MlflowClient", store: Store, made: Made, details: Details, tracking: Tracking
) -> "Run":
    """The finished run of this complete model, logged if there is none; and registered."""
    experiment = mlflow_store.experiment(client, store, tracking.experiment)
    run = find(client, experiment, made.digest)
    if run is None or run.info.status != "FINISHED":
        if run is None:
            run = _begun(client, experiment, made, details)
        with drawing(made) as pictures:
            return _logged(client, run, made, details.end_time, tracking, pictures)
    registry.register(client, tracking, made, run)
    return run


def find(client: "MlflowClient", experiment: str, digest: str) -> "Run | None":
    """The run of this complete model: a finished one, else the one begun first.

    Beside a finished one there is none: several machines, or a request whose answer was lost, may
    have begun others. Who still logs to one of these sees that it is gone, and comes here again.
    """
    named = f"tags.`{KEY}` = '{digest}'"
    runs = sorted(
        client.search_runs([experiment], named),
        key=lambda each: (each.info.status != "FINISHED", each.info.start_time, each.info.run_id),
    )
    if runs and runs[0].info.status == "FINISHED":
        for run in runs[1:]:
            _remove(client, run)
    return runs[0] if runs else None


def _remove(client: "MlflowClient", run: "Run") -> None:
    """Into MLflow's bin, where `mlflow gc` finds it, and no longer as RUNNING."""
    for model in _models(client, run):
        with requests.gone_is_fine():
            client.delete_logged_model(model.model_id)
    with requests.gone_is_fine():
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
        client.delete_run(run.info.run_id)


def _models(client: "MlflowClient", run: "Run") -> "list[LoggedModel]":
    """The first of them is the one; the same rule for all who log to this run."""
    source = f"source_run_id = '{run.info.run_id}'"
    found = client.search_logged_models([run.info.experiment_id], source)
    return sorted(found, key=lambda each: (each.creation_timestamp, each.model_id))


def _begun(client: "MlflowClient", experiment: str, made: Made, details: Details) -> "Run":
    """A new run, or that which another machine began a moment before."""
    start, every = details.start_time, tags(made, details)
    client.create_run(experiment, start_time=start, run_name=made.run_name, tags=every)
    run = find(client, experiment, made.digest)
    assert run, f"{made.digest}: a run was begun, and is not found again"
    return run


def _logged(
    client: "MlflowClient",
    run: "Run",
    made: Made,
    end_time: int | None,
    tracking: Tracking,
    pictures: Callable[[], Files],
) -> "Run":
    """Everything of one run. FAILED when anything in it raises; where another machine finished
    a run of the same complete model meanwhile, that one is the run."""
    from mlflow.exceptions import MlflowException

    while run.info.status != "FINISHED":
        try:
            with ending(client, run, end_time):
                model_id = _log_model(client, run, made)
                _log_dataset(client, run, made)
                _log_metrics(client, run, made, model_id)
                _log_params(client, run, made)
                _log_artifacts(client, run, [*artifacts(made), *pictures()])
                registry.register(client, tracking, made, client.get_run(run.info.run_id))
        except MlflowException as error:
            if error.error_code not in requests.GONE or _active(client, run):
                raise
        found = find(client, run.info.experiment_id, made.digest)
        assert found, f"{made.digest}: logged, and not found again"
        run = found
    return run


def _active(client: "MlflowClient", run: "Run") -> bool:
    return bool(client.get_run(run.info.run_id).info.lifecycle_stage == "active")


@contextlib.contextmanager
def ending(client: "MlflowClient", run: "Run", end_time: int | None) -> Iterator[None]:
    """Without it a run that raised would stay RUNNING; where a server is gone it does, until the
    next attempt."""
    from mlflow.exceptions import MlflowException

    try:
        if run.info.status != "RUNNING":
            client.update_run(run.info.run_id, status="RUNNING")
        yield
    except BaseException:
        with contextlib.suppress(MlflowException), requests.patience(5, retries=0):
            client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED", end_time)


def _log_dataset(client: "MlflowClient", run: "Run", made: Made) -> None:
    """The raw data. pipeline/tracking/dvc_source.py reads the source."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    raw, (name, digest) = made.raw, _dataset(made)
    spec = {"features": json.dumps(tensors(made.schema["inputs"]))}
    dataset = Dataset(
        name=name,
        digest=digest,
        source_type="dvc",
        source=json.dumps(source(made, mlflow_store.repository())),
        schema=json.dumps({"mlflow_tensorspec": spec}),
        profile=json.dumps(made.schema.get("rows", {})),
    )
    told = {"path": raw["path"], "rev": raw["rev"] or "none", "sha256": raw["sha256"]}
    told["provenance.data"] = made.artifacts["data"].digest
    about = [InputTag(name, value) for name, value in told.items()]
    about.append(InputTag("mlflow.data.context", "training"))
    named = DatasetInput(dataset, about)
    requests.settled(lambda: client.log_inputs(run.info.run_id, [named]))


def _dataset(made: Made) -> tuple[str, str]:
    return made.flat_params.get("data.name", "data"), made.raw["sha256"][:DATASET_DIGEST]


def _log_model(client: "MlflowClient", run: "Run", made: Made) -> str:
    """The directory as it lies becomes a logged model, the run's output. Gives its id."""
    if not _models(client, run):
        client.create_logged_model(
            run.info.experiment_id,
            name=made.model,
            source_run_id=run.info.run_id,
            tags=_about(made),
            params=made.flat_params,
        )
    model, *twins = _models(client, run)
    for twin in twins:
        with requests.gone_is_fine():
            client.delete_logged_model(twin.model_id)
    if made.by_reference:
        upload_reference(client, model.model_id, made.complete_model, made.reference)
    else:
        upload(client, model.model_id, made.complete_model)
    client.finalize_logged_model(model.model_id, "READY")
    _link(client, run, model.model_id)
    return model.model_id


def _about(made: Made) -> dict[str, str]:
    told = {KEY: made.digest, "mlflow.note.content": description(made)}
    return told | (made.reference if made.by_reference else {})


def _link(client: "MlflowClient", run: "Run", model_id: str) -> None:
    """The only request that a server refuses when it comes again."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    try:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])
    except MlflowException:
        outputs = client.get_run(run.info.run_id).outputs
        if model_id not in {each.model_id for each in (outputs.model_outputs if outputs else ())}:
            raise


def _log_metrics(client: "MlflowClient", run: "Run", made: Made, model_id: str) -> None:
    """Curves with the epoch as step; final values belong to the model too, which by them is known
    to come from the data.

    MLflow draws bars of what has no step but 0; a final value that has a curve lies on it. All are
    of the moment in which the run began, so that one logged again is the same metric.
    """
    from mlflow.entities import Metric

    then = run.info.start_time
    curves = [
        Metric(name, value, then, epoch)
        for epoch, row in made.history
        for name, value in row.items()
    ]
    steps = {metric.key: made.schema["epoch"] for metric in curves}
    data, digest = _dataset(made)
    about = {"dataset_name": data, "dataset_digest": digest, "run_id": run.info.run_id}
    final = [
        Metric(name, float(value), then, steps.get(name, 0), model_id=model_id, **about)
        for name, value in made.final.items()
    ]
    every = curves + final
    for start in range(0, len(every), METRICS_A_CALL):
        some = every[start : start + METRICS_A_CALL]
        requests.settled(partial(client.log_batch, run.info.run_id, metrics=some))


def _log_params(client: "MlflowClient", run: "Run", made: Made) -> None:
    """MLflow changes no param; an attempt that was taken up may have had other ones of tracking."""
    from mlflow.entities import Param

    has = client.get_run(run.info.run_id).data.params
    every = [Param(name, value) for name, value in made.flat_params.items() if name not in has]
    for start in range(0, len(every), PARAMS_A_CALL):
        some = every[start : start + PARAMS_A_CALL]
        requests.settled(partial(client.log_batch, run.info.run_id, params=some))


def _log_artifacts(client: "MlflowClient", run: "Run", files: Files) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files:
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(run.info.run_id, scratch)
