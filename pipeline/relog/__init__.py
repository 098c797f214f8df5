"""`python -m pipeline.relog`: MLflow's runs made again from DVC's cache, its experiments and git.

MLflow is a projection: what it shows of a run lies in the artifacts, and what lies in none of them
in reports/mlflow.json, which DVC keeps as well. Exit code 0: all runs that were made here are
there; 1: some could not be made; 2: it could not run.
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
from pipeline.project import repository
from pipeline.relog import runs
from pipeline.relog.executions import executions
from pipeline.relog.runs import ExpectedRun
from pipeline.relog.sources import Sources, Stored
from pipeline.resolve import dvc
from pipeline.run import signals
from pipeline.run.arguments import params_file
from pipeline.run.lock import exclusive_writer
from pipeline.run.scratch import scratch_beside
from pipeline.summary import RUN
from pipeline.text import escaped
from pipeline.tracking import projection, registry
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.store import KEY, Store

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


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        signals.install()
        os.chdir(repository())
        return _relog(options)
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
        epilog="exit code: 0 all runs that were made here are there, 1 some could not be made, "
        "2 it could not run",
    )
    add = parser.add_argument
    add("--to", metavar="URI", help="another store than tracking.uri in params.yaml names")
    add("--pull", action="store_true", help="get what DVC's cache lacks from its remote")
    add("--dry-run", action="store_true", help="say what would be made, and log nothing")
    return parser


def _relog(options: argparse.Namespace) -> int:
    tracking = read(TrackingParams, params_file()).tracking
    target = replace(tracking, uri=options.to) if options.to else tracking
    store = mlflow_store.locate(target.uri)
    scratch = RUN.with_name("relog")
    with translate_os_errors(scratch), exclusive_writer(scratch), scratch_beside(scratch):
        known, faults = _expected(options.pull)
        expected = [run for run in known if not run.made_elsewhere]
        elsewhere = len(known) - len(expected)
        print(f"{len(expected)} runs are known; MLflow at {store.shown}", flush=True)
        if elsewhere:
            print(_passed_over(elsewhere), flush=True)
        outcomes = []
        for number, each in enumerate(expected, 1):
            outcome = _outcome(each, store, options.dry_run)
            print(f"[{number}/{len(expected)}] {escaped(outcome.text)}", flush=True)
            outcomes.append(outcome)
        for outcome in () if options.dry_run else _registered(expected, store):
            print(escaped(outcome.text), flush=True)
            outcomes.append(outcome)
    for fault in faults:
        print(f"cannot be read: {escaped(fault)}", flush=True)
    counts = Counter(outcome.what for outcome in outcomes)
    print(", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing to do")
    recorded = options.to is not None or options.dry_run or _record(tracking, outcomes)
    wanted = elsewhere and (options.pull or dvc.remote(Path.cwd()))
    whole = not (wanted or faults or {CANNOT, UNREGISTERED} & set(counts))
    return 0 if recorded and whole else 1


def _passed_over(count: int) -> str:
    """A clone has the history of whoever made the project, and none of their files."""
    has_remote = dvc.remote(Path.cwd()) is not None
    way_out = "--pull gets what the DVC remote has" if has_remote else "and no DVC remote is set"
    return (
        f"{count} more that git's history names were not made here: neither their models nor their "
        f"reports are in this clone, {way_out}; passed over"
    )


def _expected(pull: bool) -> tuple[list[ExpectedRun], list[str]]:
    """The runs that there should be, and a line for each text that cannot be read."""
    root = Path.cwd()
    all_executions, faults = executions(root)
    expected = runs.expected(all_executions, Sources(root=root))
    lacking = [stored for run in expected if run.first.missing for stored in run.executions]
    if pull and lacking:
        wanted = {stored.execution.md5[path] for stored in lacking for path in stored.missing}
        if fault := fetch.pulled(root, wanted):
            print(f"pull: {escaped(fault)}", flush=True)
        expected = runs.expected(all_executions, Sources(root=root))
    return expected, faults


def _outcome(expected: ExpectedRun, store: Store, dry: bool) -> Outcome:
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


def _registered(expected: Sequence[ExpectedRun], store: Store) -> Iterator[Outcome]:
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
    """`new` are the versions made by now: what was asked of them later still moves the alias."""
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
    """The finished run, or None; nothing is begun or removed."""
    known = client.get_experiment_by_name(experiment)
    named = f"tags.`{KEY}` = '{digest}' and attributes.status = 'FINISHED'"
    if known is None or known.lifecycle_stage != "active":
        return None
    return next(iter(client.search_runs([known.experiment_id], named)), None)


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
    line = (done.stdout.strip() or done.stderr.strip()).rpartition("\n")[2]
    if done.returncode:
        line = f"{RUN}: still names runs that are gone: {line}; run relog again"
    if line:
        print(escaped(line), flush=True)
    return done.returncode == 0
