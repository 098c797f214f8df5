"""SLURM runs jobs on the nodes of a cluster, as one array of submitit's.

A node that dies, or a job that is preempted, is SLURM's to run again; its job goes on in its clone.
What was queued by a start of the same sweep that was killed is waited for, and not queued again.
"""

import os
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CannotRun
from pipeline.sweep.engines import Outcome, outcome
from pipeline.sweep.jobs import Job, JobFailed

if TYPE_CHECKING:
    import submitit

INTERVAL = 5.0
"""Seconds between two looks at the queue."""
WRITTEN_WITHIN = 10.0
"""Seconds that a shared disk may take to show what a node has written."""


def run(
    jobs: Sequence[Job], folder: Path, options: Mapping[str, Any]
) -> Generator[tuple[Job, Outcome], None, None]:
    """Submits the jobs; `options` are submitit's: timeout_min, cpus_per_task, slurm_partition and
    others.

    Raises CannotRun where there is no submitit or SLURM refuses the jobs.
    """
    name, place = f"sweep-{folder.name}", folder / "slurm"
    waiting = _submitted_before(jobs, name, place)
    if waiting:
        print(f"{len(waiting)} of them in SLURM's queue since an earlier start", flush=True)
    if rest := [job for job in jobs if job not in waiting.values()]:
        own = place / f"{time.time():.0f}"  # SLURM may begin to count anew
        waiting |= dict(zip(_submitted(rest, name, own, options), rest, strict=True))
    try:
        while waiting:
            queued = _queued(name)
            for each in [each for each in waiting if each.job_id not in queued]:
                yield waiting.pop(each), _outcome(each)
            time.sleep(INTERVAL if waiting else 0)
    finally:
        for each in waiting:
            each.cancel(check=False)


def _submitted(
    jobs: Sequence[Job], name: str, folder: Path, options: Mapping[str, Any]
) -> "list[submitit.Job[Outcome]]":
    try:
        import submitit
    except ImportError:
        raise CannotRun("submitit: not installed; `uv pip install submitit`") from None
    try:
        executor = submitit.AutoExecutor(folder=folder / "%j", cluster="slurm")
        executor.update_parameters(name=name, **options)
        return executor.map_array(outcome, jobs)
    except (RuntimeError, NameError, TypeError) as error:
        raise CannotRun(f"SLURM: {' '.join(str(error).split())}") from None


def _submitted_before(
    jobs: Sequence[Job], name: str, folder: Path
) -> "dict[submitit.Job[Outcome], Job]":
    """Returns those of the jobs that are in the queue already, as submitit wrote them down."""
    places = sorted(folder.glob("*"), reverse=True)
    queued = _queued(name) if places else set()
    if not queued:
        return {}
    import submitit

    known = {job.name: job for job in jobs}
    before: dict[submitit.Job[Outcome], Job] = {}
    for number in sorted(queued):
        for each in (submitit.SlurmJob[Outcome](place / "%j", number) for place in places):
            if each.paths.submitted_pickle.exists():
                job = known.get(each.submission().args[0].name)
                before |= {each: job} if job and job not in before.values() else {}
                break
    return before


def _queued(name: str) -> set[str]:
    """Returns which of the user's jobs of this name wait, run, or are about to run again; in an
    array each has a place, a single one has a number alone.

    Where SLURM's controller does not answer, it is asked until it does.
    """
    whose = (f"--name={name}", f"--user={os.getuid()}")
    command = ["squeue", "--noheader", "--array", *whose, "--format=%F_%K"]
    while True:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return {number.removesuffix("_N/A") for number in done.stdout.split()}
        time.sleep(INTERVAL)


def _outcome(job: "submitit.Job[Outcome]") -> Outcome:
    """Returns what a job that has left the queue came to; what was killed has left no result."""
    until = time.monotonic() + WRITTEN_WITHIN
    while not job.paths.result_pickle.exists() and time.monotonic() < until:
        time.sleep(0.5)
    if not job.paths.result_pickle.exists():
        return JobFailed(f"SLURM's job {job.job_id} was killed; see {job.paths.stderr}")
    if error := job.exception():
        last = str(error).strip().rpartition("\n")[2]
        return JobFailed(f"SLURM's job {job.job_id}: {last}; see {job.paths.stderr}")
    return job.result()
