"""A sweep is a run in MLflow too, the parent of its jobs' runs."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.config.params import Tracking
from pipeline.tracking import requests
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.store import NOTE, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Run

SWEEP = "sweep"
"""The tag that names a parent's sweep, by which it is found again."""
PRUNED = "sweep.pruned"
"""The tag that names the job of a run that has no complete model, by which it is found again."""
PARENT = "mlflow.parentRunId"
AGAIN = "the same sweep, which runs no finished job again"


class Parent:
    """The run of one sweep, found again or begun when it is first asked for."""

    def __init__(self, tracking: Tracking, sweep: str, command: str):
        self.store: Store = mlflow_store.locate(tracking.uri)
        self.experiment = tracking.experiment
        self.sweep, self.command = sweep, command

    def begin(self) -> str:
        """Returns the address of its page."""
        with mlflow_store.opened(self.store, AGAIN) as client:
            run = self._run(client)
            client.update_run(run.info.run_id, status="RUNNING")
        place = f"{self.store.page}/#/experiments/{run.info.experiment_id}"
        return f"{place}/runs/{run.info.run_id}"

    def adopt(self, runs: Iterable[str]) -> None:
        """Makes these runs its children. One that is gone is passed over."""
        with mlflow_store.opened(self.store, AGAIN) as client:
            parent = self._run(client).info.run_id
            for run in runs:
                with requests.gone_is_fine():
                    client.set_tag(run, PARENT, parent)

    def add_pruned(
        self, job: str, overrides: Sequence[str], rows: Sequence[Mapping[str, float]]
    ) -> None:
        """Gives the parent a child for a job that a study has ended early, which has no run of its
        own: MLflow says of it that it was killed, and it has the epochs that it came to. The same
        job has one, however often it is told of."""
        from mlflow.entities import Metric, Param

        now = time.time_ns() // 1_000_000
        with mlflow_store.opened(self.store, AGAIN) as client:
            parent = self._run(client)
            experiment = parent.info.experiment_id
            if client.search_runs([experiment], f"tags.`{PRUNED}` = '{job}'"):
                return
            about = f"pruned after epoch {rows[-1]['epoch']:.0f}"
            tags = {PARENT: parent.info.run_id, PRUNED: job, NOTE: about}
            run = client.create_run(experiment, run_name=job, tags=tags).info.run_id
            words = [each.lstrip("+~").partition("=") for each in overrides]
            measured = [
                Metric(name, value, now, int(row["epoch"]))
                for row in rows
                for name, value in row.items()
                if name != "epoch"
            ]
            client.log_batch(run, measured, [Param(key, value) for key, _, value in words])
            client.set_terminated(run, "KILLED")

    def show(self, figures: Mapping[str, "Figure"], values: Mapping[str, float], step: int) -> None:
        """Gives the parent pictures, by their file's name, and numbers after so many jobs."""
        with mlflow_store.opened(self.store, AGAIN) as client:
            run = self._run(client).info.run_id
            for name, figure in figures.items():
                client.log_figure(run, figure, name)
            for name, value in values.items():
                client.log_metric(run, name, value, step=step)

    def end(self, status: str, note: str) -> None:
        """Ends the sweep's run; `status` is MLflow's: FINISHED, FAILED or KILLED."""
        with mlflow_store.opened(self.store, AGAIN) as client:
            run = self._run(client)
            client.set_tag(run.info.run_id, NOTE, note)
            client.set_terminated(run.info.run_id, status)

    def _run(self, client: "MlflowClient") -> "Run":
        experiment = mlflow_store.experiment(client, self.store, self.experiment)
        known = client.search_runs([experiment], f"tags.`{SWEEP}` = '{self.sweep}'")
        if known:
            return min(known, key=lambda run: (run.info.start_time, run.info.run_id))
        tags = {SWEEP: self.sweep, "mlflow.source.name": self.command}
        return client.create_run(experiment, run_name=f"sweep-{self.sweep}", tags=tags)
