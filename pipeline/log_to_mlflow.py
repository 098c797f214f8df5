"""log-to-mlflow: one run for one complete model, found again by the model's digest."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import project
from pipeline.config.params import TrackingParams
from pipeline.errors import VerificationFailed
from pipeline.files import write_atomically
from pipeline.run import stage
from pipeline.run.arguments import params_file
from pipeline.run.made_here import training_of
from pipeline.tracking import projection, view
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.content import RunContent
from pipeline.tracking.details import PROCESS_TAGS, process_details
from pipeline.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


def log_to_mlflow(
    complete_model: Path,
    checkpoint: Path,
    train: Path,
    data: Path,
    verify_report: Path,
    report: Path,
    params: TrackingParams,
) -> None:
    """Makes one MLflow run of the complete model. A second time with the same complete model it
    finds the first run and logs nothing."""
    content = RunContent(
        complete_model=complete_model,
        checkpoint=checkpoint,
        train=train,
        data=data,
        verify_report=verify_report,
        sections=params_file(),
    )
    if not content.verified["passed"]:
        raise VerificationFailed(f"{verify_report}: did not pass; nothing is logged")
    store = mlflow_store.locate(params.tracking.uri)
    with mlflow_store.opened(store) as client:
        details = process_details(training_of(train / "history.csv"))
        run = projection.project(client, store, content, details, params.tracking)
    report_of_run = summary(store, run, content)
    write_atomically(report, json.dumps(report_of_run, indent=1) + "\n")
    shown = f"see {report_of_run['links']['run']}" if store.is_server else "`make ui` shows it"
    print(f"MLflow: run {run.info.run_name} ({run.info.run_id}); {shown}")


def summary(store: Store, run: "Run", content: RunContent) -> dict[str, Any]:
    """Returns the content of reports/mlflow.json, the same for a run however often it is asked for.
    With the artifacts it is all that it takes to make the run again."""
    model_id = mlflow_store.model_of(run)
    place = f"{store.page}/#/experiments/{run.info.experiment_id}"
    kind = f"?{view.KIND}"
    return {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "experiment_id": run.info.experiment_id,
        "model_id": model_id,
        "model_uri": f"models:/{model_id}",
        "tracking_uri": store.shown,
        "links": {
            "runs": content.view.address(store.page, run.info.experiment_id),
            "run": f"{place}/runs/{run.info.run_id}{kind}",
            "model": f"{place}/models/{model_id}{kind}",
        },
        "complete_model": content.digest,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "tags": {name: run.data.tags[name] for name in PROCESS_TAGS if name in run.data.tags},
        "params": content.unrecorded,
    }


if __name__ == "__main__":
    unread = {"checkpoint": project.CHECKPOINT_FILE, "train": project.EPOCHS}
    stage.main(log_to_mlflow, unread=unread)
