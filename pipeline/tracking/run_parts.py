"""The parts of a run: data set, model, metrics, params and files, each logged so that logging it
again changes nothing."""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.complete_model.mlmodel import tensors
from pipeline.project import repository
from pipeline.resolve.logged import KEY
from pipeline.tracking import requests
from pipeline.tracking.content import RunContent
from pipeline.tracking.description import description, source
from pipeline.tracking.run_files import Files
from pipeline.tracking.upload import upload, upload_reference

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

DATASET_DIGEST = 12
"""Digits of it that MLflow shows beside the data's name; source and tag have it in full."""

# MLflow's limits.
PARAMS_A_CALL, METRICS_A_CALL = 100, 1000


def log_dataset(client: "MlflowClient", run: "Run", content: RunContent) -> None:
    """Logs the raw data, whose source pipeline/tracking/dvc_source.py reads."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    raw, (name, digest) = content.raw, _dataset(content)
    spec = {"features": json.dumps(tensors(content.schema["inputs"]))}
    dataset = Dataset(
        name=name,
        digest=digest,
        source_type="dvc",
        source=json.dumps(source(content, repository())),
        schema=json.dumps({"mlflow_tensorspec": spec}),
        profile=json.dumps(content.schema.get("rows", {})),
    )
    tags = {"path": raw["path"], "rev": raw["rev"] or "none", "sha256": raw["sha256"]}
    tags["provenance.data"] = content.artifacts["data"].digest
    about = [InputTag(name, value) for name, value in tags.items()]
    about.append(InputTag("mlflow.data.context", "training"))
    named = DatasetInput(dataset, about)
    requests.retry_on_clash(lambda: client.log_inputs(run.info.run_id, [named]))


def _dataset(content: RunContent) -> tuple[str, str]:
    return content.data_name, content.raw["sha256"][:DATASET_DIGEST]


def log_model(client: "MlflowClient", run: "Run", content: RunContent) -> str:
    """Makes the directory as it lies a logged model, the run's output; returns its id."""
    if not models_of(client, run):
        client.create_logged_model(
            run.info.experiment_id,
            name=content.model,
            source_run_id=run.info.run_id,
            tags=_about(content),
            params=content.flat_params,
        )
    model, *twins = models_of(client, run)
    for twin in twins:
        with requests.gone_is_fine():
            client.delete_logged_model(twin.model_id)
    if content.by_reference:
        upload_reference(client, model.model_id, content.complete_model, content.reference)
    else:
        upload(client, model.model_id, content.complete_model)
    client.finalize_logged_model(model.model_id, "READY")
    _link(client, run, model.model_id)
    return model.model_id


def _about(content: RunContent) -> dict[str, str]:
    tags = {KEY: content.digest, "mlflow.note.content": description(content)}
    return tags | (content.reference if content.by_reference else {})


def _link(client: "MlflowClient", run: "Run", model_id: str) -> None:
    """Links the logged model to its run: the only request that a server refuses when it comes
    again."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    try:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])
    except MlflowException:
        outputs = client.get_run(run.info.run_id).outputs
        if model_id not in {each.model_id for each in (outputs.model_outputs if outputs else ())}:
            raise


def log_metrics(client: "MlflowClient", run: "Run", content: RunContent, model_id: str) -> None:
    """Logs curves with the epoch as step, and final values, which belong to the model too and tie
    it to the data.

    MLflow draws bars of what has no step but 0; a final value that has a curve lies on it. All are
    of the moment in which the run began, so that one logged again is the same metric. The first is
    the one that a comparison opens on: what the run was judged by.
    """
    from mlflow.entities import Metric

    then = run.info.start_time
    curves = [
        Metric(name, value, then, epoch)
        for epoch, row in content.history
        for name, value in row.items()
    ]
    steps = {metric.key: content.schema["epoch"] for metric in curves}
    data, digest = _dataset(content)
    about = {"dataset_name": data, "dataset_digest": digest, "run_id": run.info.run_id}
    final = [
        Metric(name, float(value), then, steps.get(name, 0), model_id=model_id, **about)
        for name, value in content.final.items()
    ]
    judged = content.view.judged
    final.sort(key=lambda each: judged.index(each.key) if each.key in judged else len(judged))
    metrics = final + curves
    for start in range(0, len(metrics), METRICS_A_CALL):
        batch = metrics[start : start + METRICS_A_CALL]
        requests.retry_on_clash(partial(client.log_batch, run.info.run_id, metrics=batch))


def log_params(client: "MlflowClient", run: "Run", content: RunContent) -> None:
    """Logs the params that the run lacks: MLflow changes none, and an attempt that was taken up may
    have had other ones of tracking."""
    from mlflow.entities import Param

    has = client.get_run(run.info.run_id).data.params
    params = [Param(name, value) for name, value in content.flat_params.items() if name not in has]
    for start in range(0, len(params), PARAMS_A_CALL):
        batch = params[start : start + PARAMS_A_CALL]
        requests.retry_on_clash(partial(client.log_batch, run.info.run_id, params=batch))


def log_artifacts(client: "MlflowClient", run: "Run", files: Files) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files:
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(run.info.run_id, scratch)


def models_of(client: "MlflowClient", run: "Run") -> "list[LoggedModel]":
    """Returns the run's logged models; the first is the one, for all who log to this run."""
    source = f"source_run_id = '{run.info.run_id}'"
    models = client.search_logged_models([run.info.experiment_id], source)
    return sorted(models, key=lambda each: (each.creation_timestamp, each.model_id))
