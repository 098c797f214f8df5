"""An expected run is there, is made again, or cannot be: the outcome says which."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.params import Tracking
from pipeline.errors import IncompleteArtifact, NotWritten, PipelineError
from pipeline.log_to_mlflow import summary
from pipeline.relog import runs
from pipeline.relog.runs import ExpectedRun
from pipeline.relog.sources import Stored
from pipeline.resolve.logged import KEY
from pipeline.tracking import projection, registry
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.store import Store

MADE, WOULD, THERE, CANNOT = "made", "would be made", "there already", "cannot be made"
UNREGISTERED = "cannot be registered"
AGAIN = "`python -m pipeline.relog`"
FETCH = "`dvc fetch --all-commits --run-cache` or `dvc exp pull` may bring it, or --pull"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an expected run; it is no verdict, for there is nothing to compare."""

    what: str
    """MADE, WOULD, THERE, CANNOT or UNREGISTERED."""
    text: str
    report: tuple[str, str] | None = None
    """md5 of the complete model and reports/mlflow.json's content, where the one that DVC has names
    another run."""


def outcome_of(expected: ExpectedRun, store: Store, dry: bool) -> Outcome:
    try:
        return _logged(expected, store, dry)
    except PipelineError as error:
        return _fault(CANNOT, expected, store, error)


def _fault(what: str, expected: ExpectedRun, store: Store, error: PipelineError) -> Outcome:
    """Raises PipelineError where no other run could be made either."""
    if isinstance(error, NotWritten):
        raise error
    with mlflow_store.opened(store, AGAIN) as client:
        client.search_experiments(max_results=1)
    return Outcome(what=what, text=f"{expected.name}: {what}: {error}")


def _logged(expected: ExpectedRun, store: Store, dry: bool) -> Outcome:
    stored, tracking = expected.first, runs.tracking(expected.first)
    with mlflow_store.opened(store, AGAIN) as client:
        run = _there(client, tracking.experiment, expected.name)
    if run and (dry or stored.missing or _names(expected.report, run, store)):
        return Outcome(what=THERE, text=f"{run.info.run_name}: {THERE}")
    with tempfile.TemporaryDirectory() as scratch:
        made = runs.to_log(_demand_whole(stored), Path(scratch))
        if dry:
            return Outcome(
                what=WOULD, text=f"{runs.details(stored).run_name or made.run_name}: {WOULD}"
            )
        what = THERE if run else MADE
        with mlflow_store.opened(store, AGAIN) as client:
            details, unregistered = runs.details(stored), replace(tracking, register=None)
            run = run or projection.project(client, store, made, details, unregistered)
        content = json.dumps(summary(store, run, made), indent=1) + "\n"
    report = stored.execution.model, content
    return Outcome(what=what, text=f"{run.info.run_name}: {what}", report=report)


def _demand_whole(stored: Stored) -> Stored:
    """Raises IncompleteArtifact where DVC's cache lacks some of it."""
    if stored.missing:
        lacking = f"{', '.join(stored.missing)} ({stored.execution.where})"
        raise IncompleteArtifact(f"not in DVC's cache: {lacking}; {FETCH}")
    return stored


def registered(expected: Sequence[ExpectedRun], store: Store) -> Iterator[Outcome]:
    """Makes the versions that are not there, in the order in which they were asked for, by which
    the alias comes to where it was, unless somebody moved it by hand. Gives what could not be."""
    requests = [
        (stored.execution.time, run.name, run, stored)
        for run in expected
        for stored in run.executions
    ]
    new: set[tuple[str, str]] = set()
    for _, _, run, stored in sorted(requests, key=lambda request: request[:2]):
        try:
            _register(run, runs.tracking(stored), store, new)
        except PipelineError as error:
            yield _fault(UNREGISTERED, run, store, error)


def _register(
    expected: ExpectedRun, tracking: Tracking, store: Store, new: set[tuple[str, str]]
) -> None:
    """Registers the run's model where its tracking asks for it. `new` are the versions made by now:
    what was asked of them later still moves the alias."""
    if not (name := tracking.register):
        return
    with mlflow_store.opened(store, AGAIN) as client:
        run = _there(client, tracking.experiment, expected.name)
        known = (name, expected.name) not in new
        if run is None or (known and registry.version_of(client, name, run)):
            return
        with tempfile.TemporaryDirectory() as scratch:
            made = runs.to_log(_demand_whole(expected.first), Path(scratch))
            registry.register(client, tracking, made, run)
    new.add((name, expected.name))


def _there(client: Any, experiment: str, digest: str) -> Any:
    """Returns the finished run, or None; nothing is begun or removed."""
    known = client.get_experiment_by_name(experiment)
    named = f"tags.`{KEY}` = '{digest}' and attributes.status = 'FINISHED'"
    if known is None or known.lifecycle_stage != "active":
        return None
    return next(iter(client.search_runs([known.experiment_id], named)), None)


def _names(report: Mapping[str, Any], run: Any, store: Store) -> bool:
    return (report.get("run_id"), report.get("tracking_uri")) == (run.info.run_id, store.shown)
