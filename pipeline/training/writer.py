"""What is written while training goes on: one job at a time, in a thread of its own."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent import futures


class Writer:
    """A writer does one job beside the training; what the job raises ends the training."""

    def __init__(self) -> None:
        self._threads = futures.ThreadPoolExecutor(max_workers=1)
        self._job: futures.Future[None] | None = None

    def begin(self, job: Callable[[], None]) -> None:
        """Begins a job once the one before has ended; raises what that one raised."""
        self.finish()
        self._job = self._threads.submit(job)

    def finish(self) -> None:
        """Returns when nothing is being written; raises what the last job raised."""
        if self._job is not None:
            self._job.result()

    def raise_fault(self) -> None:
        """Raises what a job that has ended raised."""
        if self._job is not None and self._job.done():
            self._job.result()

    def close(self) -> None:
        """Returns when nothing is being written."""
        self._threads.shutdown()


@contextlib.contextmanager
def writing() -> Iterator[Writer]:
    """Gives a writer; what was begun is written to its end, also where the training ends early."""
    writer = Writer()
    try:
        yield writer
        writer.finish()
    finally:
        writer.close()
