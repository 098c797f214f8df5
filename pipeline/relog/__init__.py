"""`python -m pipeline.relog`: MLflow's runs made again from DVC's cache, its experiments and git.

MLflow is a projection: what it shows of a run lies in the artifacts, and what lies in none of them
in reports/mlflow.json, which DVC keeps as well. Exit code 0: all runs are there; 1: some could not
be made; 2: it could not run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import fetch
from pipeline.config.params import Tracking, TrackingParams
from pipeline.config.reading import read
from pipeline.errors import IncompleteArtifact, NotWritten, PipelineError
from pipeline.files import translate_os_errors
from pipeline.log_to_mlflow import summary
from pipeline.relog import runs
from pipeline.relog.executions import executions
from pipeline.relog.runs import Known
from pipeline.relog.sources import Held, Sources
from pipeline.run import signals
from pipeline.run.arguments import params_file
from pipeline.run.lock import exclusive_writer
from pipeline.run.scratch import scratch_beside
from pipeline.summary import RUN
from pipeline.text import escaped
from pipeline.tracking import projection, registry
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.store import KEY, Store, repository

MADE, WOULD, THERE, CANNOT = "made", "would be made", "there already", "cannot be made"
UNREGISTERED = "cannot be registered"
AGAIN = "`python -m pipeline.relog`"
FETCH = "`dvc fetch --all-commits --run-cache` or `dvc exp pull` may bring it, or --pull"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    what: str
    text: str
    report: tuple[str, str] | None = None
    """md5 of the complete model and reports/mlflow.json's content, where the one that DVC has names
    another run."""


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        signals.install()
        os.chdir(repository())
        return _relog(given)
    except PipelineError as error:
        print(f"error: relog: {escaped(str(error))}", file=sys.stderr)
        return 2
    except signals.Interrupted as end:
        print(f"relog: ended by {end}; run it again to go on", file=sys.stderr)
        return 128 + end.number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.relog",
        description="Makes every run of MLflow again, with its own name, params, metrics, tags and "
        "times, from what DVC and git keep: for a store that was lost, or a new one. A run is "
        "known by its complete model's digest; one that is there is left alone.",
        epilog="exit code: 0 all runs are there, 1 some could not be made, 2 it could not run",
    )
    add = parser.add_argument
    add("--to", metavar="URI", help="another store than tracking.uri in params.yaml names")
    add("--pull", action="store_true", help="get what DVC's cache lacks from its remote")
    add("--dry-run", action="store_true", help="say what would be made, and log nothing")
    return parser


def _relog(given: argparse.Namespace) -> int:
    tracking = read(TrackingParams, params_file()).tracking
    target = replace(tracking, uri=given.to) if given.to else tracking
    store = mlflow_store.locate(target.uri)
    scratch = RUN.with_name("relog")
    with translate_os_errors(scratch), exclusive_writer(scratch), scratch_beside(scratch):
        every, faults = _known(given.pull)
        print(f"{len(every)} runs are known; MLflow at {store.shown}", flush=True)
        outcomes = []
        for number, each in enumerate(every, 1):
            outcome = _outcome(each, store, given.dry_run)
            print(f"[{number}/{len(every)}] {escaped(outcome.text)}", flush=True)
            outcomes.append(outcome)
        for outcome in () if given.dry_run else _registered(every, store):
            print(escaped(outcome.text), flush=True)
            outcomes.append(outcome)
    for fault in faults:
        print(f"cannot be read: {escaped(fault)}", flush=True)
    counts = Counter(outcome.what for outcome in outcomes)
    print(", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing to do")
    recorded = given.to is not None or given.dry_run or _record(tracking, outcomes)
    return 0 if recorded and not faults and not {CANNOT, UNREGISTERED} & set(counts) else 1


def _known(pull: bool) -> tuple[list[Known], list[str]]:
    """Runs, and texts that cannot be read."""
    root = Path.cwd()
    found, faults = executions(root)
    every = runs.known(found, Sources(root=root))
    lacking = [held for each in every if each.first.missing for held in each.every]
    if pull and lacking:
        wanted = {held.execution.md5[path] for held in lacking for path in held.missing}
        if fault := fetch.pulled(root, wanted):
            print(f"pull: {escaped(fault)}", flush=True)
        every = runs.known(found, Sources(root=root))
    return every, faults


def _outcome(each: Known, store: Store, dry: bool) -> Outcome:
    try:
        return _logged(each, store, dry)
    except PipelineError as error:
        return _fault(CANNOT, each, store, error)


def _fault(what: str, each: Known, store: Store, error: PipelineError) -> Outcome:
    """Raises PipelineError where no other run could be made either."""
    if isinstance(error, NotWritten):
        raise error
    with mlflow_store.opened(store, AGAIN) as client:
        client.search_experiments(max_results=1)
    return Outcome(what=what, text=f"{each.name}: {what}: {error}")


def _logged(each: Known, store: Store, dry: bool) -> Outcome:
    held, tracking = each.first, runs.tracking(each.first)
    with mlflow_store.opened(store, AGAIN) as client:
        run = _there(client, tracking.experiment, each.name)
    if run and (dry or held.missing or _names(each.report, run, store)):
        return Outcome(what=THERE, text=f"{run.info.run_name}: {THERE}")
    with tempfile.TemporaryDirectory() as scratch:
        made = runs.made(_whole(held), Path(scratch))
        if dry:
            return Outcome(what=WOULD, text=f"{made.run_name}: {WOULD}")
        what = THERE if run else MADE
        with mlflow_store.opened(store, AGAIN) as client:
            details, unregistered = runs.details(held), replace(tracking, register=None)
            run = run or projection.project(client, store, made, details, unregistered)
        content = json.dumps(summary(store, run, made), indent=1) + "\n"
    report = held.execution.model, content
    return Outcome(what=what, text=f"{run.info.run_name}: {what}", report=report)


def _whole(held: Held) -> Held:
    """Raises IncompleteArtifact where DVC's cache lacks some of it."""
    if held.missing:
        lacking = f"{', '.join(held.missing)} ({held.execution.where})"
        raise IncompleteArtifact(f"not in DVC's cache: {lacking}; {FETCH}")
    return held


def _registered(every: Sequence[Known], store: Store) -> Iterator[Outcome]:
    """Makes the versions that are not there, in the order in which they were asked for, by which
    the alias comes to where it was, unless somebody moved it by hand. Gives what could not be."""
    asked = [(held.execution.time, each.name, each, held) for each in every for held in each.every]
    new: set[tuple[str, str]] = set()
    for _, _, each, held in sorted(asked, key=lambda found: found[:2]):
        try:
            _register(each, runs.tracking(held), store, new)
        except PipelineError as error:
            yield _fault(UNREGISTERED, each, store, error)


def _register(each: Known, tracking: Tracking, store: Store, new: set[tuple[str, str]]) -> None:
    """`new` are the versions made by now: what was asked of them later still moves the alias."""
    if not (name := tracking.register):
        return
    with mlflow_store.opened(store, AGAIN) as client:
        run = _there(client, tracking.experiment, each.name)
        known = (name, each.name) not in new
        if run is None or (known and registry.version_of(client, name, run)):
            return
        with tempfile.TemporaryDirectory() as scratch:
            made = runs.made(_whole(each.first), Path(scratch))
            registry.register(client, tracking, made, run)
    new.add((name, each.name))


def _there(client: Any, experiment: str, digest: str) -> Any:
    """The finished run, or None; nothing is begun or removed."""
    found = client.get_experiment_by_name(experiment)
    named = f"tags.`{KEY}` = '{digest}' and attributes.status = 'FINISHED'"
    if found is None or found.lifecycle_stage != "active":
        return None
    return next(iter(client.search_runs([found.experiment_id], named)), None)


def _names(report: Mapping[str, Any], run: Any, store: Store) -> bool:
    return (report.get("run_id"), report.get("tracking_uri")) == (run.info.run_id, store.shown)


def _record(tracking: Tracking, outcomes: Sequence[Outcome]) -> bool:
    """What DVC restores later, and the work tree has now, names the runs that are there."""
    reports = dict(outcome.report for outcome in outcomes if outcome.report)
    if not reports:
        return True
    script = Path(__file__).with_name("record.py")
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(Path.cwd())],
        input=json.dumps({"uri": tracking.uri, "reports": reports}),
        capture_output=True,
        text=True,
    )
    said = (done.stdout.strip() or done.stderr.strip()).rpartition("\n")[2]
    if done.returncode:
        said = f"{RUN}: still names runs that are gone: {said}; run relog again"
    if said:
        print(escaped(said), flush=True)
    return done.returncode == 0
