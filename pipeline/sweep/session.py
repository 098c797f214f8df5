"""A session is one start of a sweep: jobs are planned, finished ones passed over, the others run by
an engine, and what failed is named at the end."""

import contextlib
import math
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus

from pipeline.config.params import Params
from pipeline.config.reading import read
from pipeline.errors import PipelineError
from pipeline.project import ROOT
from pipeline.run import signals
from pipeline.sweep import clone, engines, finished, plan
from pipeline.sweep.engines import Engine, Outcome
from pipeline.sweep.jobs import RUNNING, Job, Pruned
from pipeline.sweep.watching import Watch, watched
from pipeline.text import escaped_error
from pipeline.tracking.sweeps import Parent
from pipeline.training.history import read_history


@cache
def current() -> "Session":
    """Returns the session of this process."""
    return Session(ROOT)


class Session:
    """The jobs of one command line, and what they came to."""

    def __init__(self, root: Path):
        self.root = root
        self.arguments: Sequence[str] = ()
        self.before: set[str] = set()
        """Names of the jobs that were finished before."""
        self.outcomes: dict[Job, Outcome | None] = {}
        """None of a job that was not run to its end."""
        self.watch: Watch | None = None
        """The study that may end jobs early."""
        self.parent: Parent | None = None

    @cached_property
    def source(self) -> plan.Source:
        return plan.source(self.root)

    @cached_property
    def name(self) -> str:
        return plan.name_of(self.source, self.arguments)

    @property
    def folder(self) -> Path:
        return self.root / plan.FOLDER / self.name

    def run(
        self,
        arguments: Sequence[str],
        job_overrides: Sequence[Sequence[str]],
        engine: str,
        options: Mapping[str, Any],
    ) -> list[JobReturn]:
        """Returns the objective of each job, NaN of a failed one, or Pruned. A sweeper may call it
        often."""
        self.arguments = arguments
        try:
            running = engines.load(engine)
            with apart_from_hydra():
                planned = plan.plan(self.source, job_overrides)
            jobs = [self._job(each) for each in planned]
            self.outcomes = dict.fromkeys(jobs) | self.outcomes
            self._run(list(dict.fromkeys(jobs)), running, options, planned[0].values)
        except PipelineError as error:
            print(f"error: {escaped_error(error)}", file=sys.stderr)
            raise SystemExit(1) from None
        return [_returned(job, self.outcomes[job]) for job in jobs]

    def _job(self, planned: plan.Planned) -> Job:
        return Job(
            source=self.source,
            name=planned.name,
            overrides=planned.overrides,
            folder=self.folder,
            trial=self.watch.trial(planned.overrides) if self.watch else "",
        )

    def _run(
        self,
        jobs: Sequence[Job],
        engine: Engine,
        options: Mapping[str, Any],
        values: Mapping[str, Any],
    ) -> None:
        """Has the engine run what is not finished; each run is the parent's child at once."""
        tracking = read(Params, values).tracking
        parent = self.parent = Parent(
            tracking, self.name, f"python -m pipeline -m {' '.join(self.arguments)}"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        done = self._finished(jobs)
        self.before |= {job.name for job in done}
        self.outcomes |= {job: run.objective for job, run in done.items()}
        rest = [job for job in jobs if job not in done]
        print(f"sweep {self.name}: {parent.begin()}\n{_count(len(jobs))}, {len(rest)} to run")
        parent.adopt(run.run_id for run in done.values())
        for job, run in done.items():
            clone.remove(job.place)  # where somebody was killed when the run had just come back
            self._report_epochs(job, run)
            print(f"{_line(job, run.objective)}, before", flush=True)
        status = "KILLED"
        try:
            running = engine.run(rest, self.folder, options)
            with _ending_with_its_jobs(), closing(running) as ended, watched(rest, self.watch):
                for job, outcome in ended if rest else ():
                    self._ended(job, outcome, parent)
            status = "FAILED" if self.failed else "FINISHED"
        finally:
            self._take_in_unseen(rest, parent)
            parent.end(status, self.summary())

    def _take_in_unseen(self, jobs: Sequence[Job], parent: Parent) -> None:
        """Counts what was finished when the sweep was ended, and nobody had been told of."""
        unseen = [job for job in jobs if self.outcomes[job] is None]
        for job, run in self._finished(unseen).items():
            self._ended(job, run.objective, parent)

    def _finished(self, jobs: Sequence[Job]) -> dict[Job, finished.Run]:
        runs = finished.find_all(self.root, [job.name for job in jobs]) if jobs else {}
        digests = {job: plan.digest_in(job.name) for job in jobs}
        return {job: runs[digest] for job, digest in digests.items() if digest in runs}

    def _ended(self, job: Job, outcome: Outcome, parent: Parent) -> None:
        self.outcomes[job] = outcome
        if run := finished.find(self.root, job.name):
            parent.adopt([run.run_id])
            self._report_epochs(job, run)
        if isinstance(outcome, Pruned):
            parent.add_pruned(job.name, job.overrides, outcome.rows)
        print(_line(job, outcome), flush=True)

    def _report_epochs(self, job: Job, run: finished.Run) -> None:
        if self.watch and run.history and run.history.is_file():
            self.watch.finished(job.overrides, read_history(run.history))

    @property
    def failed(self) -> list[Job]:
        ended = (float, Pruned)
        return [job for job, each in self.outcomes.items() if not isinstance(each, ended)]

    def summary(self) -> str:
        """Returns how many jobs came to what, and names each that failed, with its log."""
        pruned = sum(isinstance(each, Pruned) for each in self.outcomes.values())
        ended = len(self.outcomes) - len(self.failed) - pruned
        again = f" ({len(self.before)} of them before)" if self.before else ""
        early = f"{pruned} pruned, " if pruned else ""
        lines = [
            f"sweep {self.name}: {_count(len(self.outcomes))}, {ended} finished{again}, "
            f"{early}{len(self.failed)} not",
            *(_line(job, self.outcomes[job]) for job in self.failed),
        ]
        if ended:
            lines.append("`dvc exp show` lists the runs, `dvc exp apply <name>` brings one here")
        if self.failed:
            lines.append("the same command again runs what is not finished, and nothing else")
        return "\n".join(lines)


@contextlib.contextmanager
def apart_from_hydra() -> Iterator[None]:
    """Lets conf/ be composed within an app of Hydra's, which has its own composition."""
    app = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().clear()
        if app:
            GlobalHydra.instance().initialize(app)


def _count(number: int) -> str:
    return f"{number} job{'s' * (number != 1)}"


def _line(job: Job, outcome: Outcome | None) -> str:
    """Returns a job's line: its overrides, and its objective or its fault with the log."""
    if isinstance(outcome, float):
        return f"  {' '.join(job.overrides)}: {outcome:.6g}  ({job.name})"
    if isinstance(outcome, Pruned):
        return f"  {' '.join(job.overrides)}: pruned after epoch {outcome.epoch}  ({job.name})"
    fault = "not run to its end" if outcome is None else f"FAILED: {escaped_error(outcome)}"
    return f"  {' '.join(job.overrides)}: {fault}; log: {job.log}"


def _returned(job: Job, outcome: Outcome | None) -> JobReturn:
    value = outcome if isinstance(outcome, float | Pruned) else math.nan
    return JobReturn(overrides=list(job.overrides), status=JobStatus.COMPLETED, _return_value=value)


@contextlib.contextmanager
def _ending_with_its_jobs() -> Iterator[None]:
    """Raises Interrupted at a signal, once the pipelines that this process has begun have ended, to
    which it is passed on."""
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    signals.install()
    try:
        yield
    except signals.Interrupted:
        for process in list(RUNNING):
            process.terminate()
        for process in list(RUNNING):
            process.wait()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
