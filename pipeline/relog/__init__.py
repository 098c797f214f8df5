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
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import fetch
from pipeline.config.params import Tracking, TrackingParams
from pipeline.config.reading import read
from pipeline.errors import PipelineError
from pipeline.files import translate_os_errors
from pipeline.project import repository
from pipeline.relog import runs
from pipeline.relog.executions import executions
from pipeline.relog.outcomes import CANNOT, UNREGISTERED, Outcome, outcome_of, registered
from pipeline.relog.runs import ExpectedRun
from pipeline.relog.sources import Sources
from pipeline.resolve import dvc
from pipeline.run import signals
from pipeline.run.arguments import params_file
from pipeline.run.lock import exclusive_writer
from pipeline.run.scratch import scratch_beside
from pipeline.summary import RUN
from pipeline.text import escaped
from pipeline.tracking import store as mlflow_store


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
            outcome = outcome_of(each, store, options.dry_run)
            print(f"[{number}/{len(expected)}] {escaped(outcome.text)}", flush=True)
            outcomes.append(outcome)
        for outcome in () if options.dry_run else registered(expected, store):
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
    """Returns the line about runs of which nothing is here. A clone has the history of whoever made
    the project, and none of their files."""
    has_remote = dvc.remote(Path.cwd()) is not None
    way_out = "--pull gets what the DVC remote has" if has_remote else "and no DVC remote is set"
    return (
        f"{count} more that git's history names were not made here: neither their models nor their "
        f"reports are in this clone, {way_out}; passed over"
    )


def _expected(pull: bool) -> tuple[list[ExpectedRun], list[str]]:
    """Returns the runs that there should be, and a line for each text that cannot be read."""
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


def _record(tracking: Tracking, outcomes: Sequence[Outcome]) -> bool:
    """Has what DVC restores later, and the work tree has now, name the runs that are there; returns
    whether it does."""
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
