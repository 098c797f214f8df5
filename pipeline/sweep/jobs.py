"""A job is a function without arguments that any process on the shared disk can call: it runs the
pipeline in a clone and returns the run's objective."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.files import translate_os_errors, write_atomically
from pipeline.run.children import tied
from pipeline.sweep import clone, finished
from pipeline.sweep.plan import Source
from pipeline.training.history import Row

RUNNING: set[subprocess.Popen[bytes]] = set()
"""The pipelines of this process' jobs."""


LOOK_INTERVAL = 1.0
"""Seconds between two looks at whether a study wants no more of a job."""


class JobFailed(PipelineError):
    """Read the job's log."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What a job came to that its study ended after some of its epochs."""

    rows: Sequence[Row]

    @property
    def epoch(self) -> int:
        return int(self.rows[-1]["epoch"])


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of a sweep, to be called once or, where it was killed, again."""

    source: Source
    name: str
    overrides: tuple[str, ...]
    folder: Path
    """The sweep's; on a cluster it lies on the shared disk, as the repository does."""
    trial: str = field(default="", compare=False)
    """The trial that it is, which alone may end it before its last epoch; none without a study."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def place(self) -> Path:
        """Its clone, while it is not finished."""
        return self.folder / self.name

    @property
    def _pruned(self) -> Path:
        return self.folder / f".{self.name}.{self.trial}.pruned"

    def prune(self, rows: Sequence[Row]) -> None:
        """Has the job end, wherever it runs; `rows` are the epochs by which that was decided."""
        write_atomically(self._pruned, json.dumps(list(rows)))

    def __call__(self) -> float | Pruned:
        """Returns the objective. Raises JobFailed, which names the log.

        Another call of the same job waits for this one, and finds its run.
        """
        lock = self.folder / f".{self.name}.lock"
        with translate_os_errors(self.folder), _alone(lock) as held:
            run = finished.find(self.source.root, self.name) or self._run(held)
            clone.remove(self.place)  # of who was killed when the run had just come back
            return run if isinstance(run, Pruned) else run.objective

    def _run(self, lock: int) -> finished.Run | Pruned:
        if self._pruned.exists():
            return self._end_early()
        clone.make(self.source, self.place)
        said_before = self.log.stat().st_size if self.log.exists() else 0
        code = self._reproduce(lock)
        if code and self._pruned.exists():
            return self._end_early()
        if code:
            raise JobFailed(f"{_end(code)}, {_last_line(self.log, said_before)}")
        clone.bring_back(self.source, self.place, self.name)
        run = finished.find(self.source.root, self.name)
        if run is None:
            raise JobFailed("it ran, but neither git nor DVC's cache have it; look for a full disk")
        return run

    def _end_early(self) -> Pruned:
        clone.remove(self.place)
        pruned = Pruned(rows=json.loads(self._pruned.read_text()))
        with self.log.open("a") as log:
            log.write(f"pruned after epoch {pruned.epoch}: the study wants no more of it\n")
        return pruned

    def _reproduce(self, lock: int) -> int:
        """Returns the exit code of the pipeline, which ends when this process does; until then it
        holds the job's lock, too."""
        command = [sys.executable, "-m", "pipeline.sweep.in_clone", *self.overrides]
        own = {"DVC_ROOT": str(self.source.root), "DVC_EXP_NAME": self.name}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.place,
                env=tied(os.environ | own),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
            )
            RUNNING.add(process)
            try:
                return self._wait(process)
            finally:
                RUNNING.discard(process)

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        """Returns the exit code; a job that is pruned meanwhile is told to end."""
        while self.trial:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_INTERVAL)
            if self._pruned.exists():
                process.terminate()
                break
        return process.wait()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Waits for its turn, and gives the open file that holds the lock; the kernel drops the lock
    when the last process that has the file open dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _end(code: int) -> str:
    """Returns an exit code in words: -n, and of a shell or ours 128 + n, is signal n."""
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(number).name}"
    return f"exit code {code}"


def _last_line(log: Path, start: int) -> str:
    """Returns the error that a log ends with, or its last line but for DVC's that a stage failed;
    what stands before `start` are others' words."""
    said = log.read_bytes()[start:].decode(errors="replace")
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    own = [line for line in lines if not line.startswith("ERROR: failed to reproduce ")]
    return (errors or own or lines or ["nothing was said"])[-1]
