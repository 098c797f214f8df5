"""SLURM runs jobs on the nodes of a cluster, as one array of submitit's.

A node that dies, or a job that is preempted, is SLURM's to run again; its job goes on in its clone.
"""

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
    place = folder / "slurm" / f"{time.time():.0f}"  # SLURM may begin to count anew
    submitted = _submitted(jobs, f"sweep-{folder.name}", place, options)
    waiting = dict(zip(submitted, jobs, strict=True))
    try:
        while waiting:
            queued = _queued(next(iter(waiting)).job_id.partition("_")[0])
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


def _queued(array: str) -> set[str]:
    """Returns those of an array's jobs that wait, run, or are about to run again; a single job is
    no array, and has a number alone.

    SLURM forgets an array some minutes after its end, and then knows no such job. Where its
    controller does not answer, it is asked until it does.
    """
    command = ["squeue", "--noheader", "--array", f"--jobs={array}", "--format=%F_%K"]
    while True:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return {name.removesuffix("_N/A") for name in done.stdout.split()}
        if "Invalid job id" in done.stderr:
            return set()
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
