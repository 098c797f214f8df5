"""While jobs run, a study sees by the history that each training writes how far it has come, and
may end it before its last epoch."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from pipeline.project import TRAIN
from pipeline.run import dvc_file, resume_state
from pipeline.sweep.jobs import Job
from pipeline.training.history import HISTORY, Row, read_history

INTERVAL = 1.0
"""Seconds between two looks at all that run."""


class Watch(Protocol):
    """What sees the epochs of a sweep's jobs."""

    def trial(self, overrides: Sequence[str]) -> str:
        """Returns the name of the trial that these overrides are, a file's."""

    def pruned_after(self, overrides: Sequence[str], rows: Sequence[Row]) -> int | None:
        """Returns the epoch after which a job that has come to `rows` is to end; None while it is
        to go on. It is called again and again."""

    def finished(self, overrides: Sequence[str], rows: Sequence[Row]) -> None:
        """Takes in all epochs of a job that has ended by itself."""


@contextlib.contextmanager
def watched(jobs: Sequence[Job], watch: Watch | None) -> Iterator[None]:
    """Looks at the jobs while the caller waits for them; what `watch` raises is raised then."""
    if watch is None:
        yield
        return
    stop = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(_look, list(jobs), watch, stop)
        try:
            yield
        finally:
            stop.set()
        looking.result()


def _look(jobs: list[Job], watch: Watch, stop: threading.Event) -> None:
    folder = _training()
    while not stop.wait(INTERVAL):
        jobs = [job for job in jobs if not _pruned(job, folder, watch)]


def _training() -> Path:
    """Returns where a clone has its training."""
    return next(Path(path) for path, stage in dvc_file.makers().items() if stage == TRAIN)


def _pruned(job: Job, folder: Path, watch: Watch) -> bool:
    """Returns whether the job is to end. What DVC has checked out is another training, and a
    finished one."""
    training = job.place / folder
    if not (training / resume_state.NAME).exists():
        return False
    try:
        rows = read_history(training / HISTORY)
    except OSError:  # it has not come to its first epoch, or is finished
        return False
    epoch = watch.pruned_after(job.overrides, rows)
    if epoch is not None:
        job.prune([row for row in rows if row["epoch"] <= epoch])
    return epoch is not None
