"""A complete model's run in MLflow: a projection of the artifacts, found again by their digest.

Whatever is logged may be logged again: the run, its model, each metric and each file are then the
same ones. So an attempt that was cut short is taken up and finished, on whatever machine.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pipeline.config.params import Tracking
from pipeline.resolve.logged import KEY
from pipeline.tracking import registry, requests, run_parts
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.content import RunContent
from pipeline.tracking.description import tags
from pipeline.tracking.details import Details
from pipeline.tracking.run_files import Files, artifacts, drawing
from pipeline.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def project(
    client: "MlflowClient", store: Store, content: RunContent, details: Details, tracking: Tracking
) -> "Run":
    """Returns the finished run of this complete model, logged if there is none, and registered."""
    experiment = mlflow_store.experiment(client, store, tracking.experiment, content.view)
    run = find(client, experiment, content.digest)
    if run is None or run.info.status != "FINISHED":
        with drawing(content) as pictures:
            while run is None or run.info.status != "FINISHED":
                run = run or _begun(client, experiment, content, details)
                _log(client, run, content, details.end_time, pictures)
                run = find(client, experiment, content.digest)
    registry.register(client, tracking, content, run)
    return run


def find(client: "MlflowClient", experiment: str, digest: str) -> "Run | None":
    """Returns the run of this complete model: a finished one, else the one begun first.

    Beside a finished one there is none: several machines, or a request whose answer was lost, may
    have begun others. Who still logs to one of these sees that it is gone, and comes here again.
    Several that finish at once may remove each other's, so what is left is looked for again.
    """
    named = f"tags.`{KEY}` = '{digest}'"
    while True:
        runs = sorted(
            client.search_runs([experiment], named),
            key=lambda each: (
                each.info.status != "FINISHED",
                each.info.start_time,
                each.info.run_id,
            ),
        )
        if len(runs) < 2 or runs[0].info.status != "FINISHED":
            return runs[0] if runs else None
        for run in runs[1:]:
            _remove(client, run)


def _remove(client: "MlflowClient", run: "Run") -> None:
    """Moves a run into MLflow's bin, where `mlflow gc` finds it, no longer as RUNNING; unless it
    has been finished since it was found, which makes it another one's to choose."""
    if client.get_run(run.info.run_id).info.status != run.info.status:
        return
    models = run_parts.models_of(client, run)
    with requests.gone_is_fine():
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
        client.delete_run(run.info.run_id)  # first, for who misses a model asks for its run
    for model in models:
        with requests.gone_is_fine():
            client.delete_logged_model(model.model_id)


def _begun(client: "MlflowClient", experiment: str, content: RunContent, details: Details) -> "Run":
    """Returns a new run, or that which another machine began a moment before."""
    start, every = details.start_time, tags(content, details)
    name = details.run_name or content.run_name
    client.create_run(experiment, start_time=start, run_name=name, tags=every)
    run = find(client, experiment, content.digest)
    assert run, f"{content.digest}: a run was begun, and is not found again"
    return run


def _log(
    client: "MlflowClient",
    run: "Run",
    content: RunContent,
    end_time: int | None,
    pictures: Callable[[], Files],
) -> None:
    """Logs everything of one run, which is FAILED when anything in it raises; where another machine
    finished a run of the same complete model meanwhile, this one is gone, and that is no error."""
    from mlflow.exceptions import MlflowException

    try:
        with ending(client, run, end_time):
            model_id = run_parts.log_model(client, run, content)
            run_parts.log_dataset(client, run, content)
            run_parts.log_metrics(client, run, content, model_id)
            run_parts.log_params(client, run, content)
            run_parts.log_artifacts(client, run, [*artifacts(content), *pictures()])
    except MlflowException as error:
        if error.error_code not in requests.GONE or _active(client, run):
            raise


def _active(client: "MlflowClient", run: "Run") -> bool:
    return bool(client.get_run(run.info.run_id).info.lifecycle_stage == "active")


@contextlib.contextmanager
def ending(client: "MlflowClient", run: "Run", end_time: int | None) -> Iterator[None]:
    """Ends a run that raised, which would stay RUNNING otherwise; where a server is gone it does,
    until the next attempt."""
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
