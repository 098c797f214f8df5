"""A job is a function without arguments that any process on the shared disk can call: it runs the
pipeline in a clone and returns the run's objective."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.files import translate_os_errors
from pipeline.sweep import clone, finished
from pipeline.sweep.plan import Source

RUNNING: set[subprocess.Popen[bytes]] = set()
"""The pipelines of this process' jobs."""


class JobFailed(PipelineError):
    """Read the job's log."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of a sweep, to be called once or, where it was killed, again."""

    source: Source
    name: str
    overrides: tuple[str, ...]
    folder: Path
    """The sweep's; on a cluster it lies on the shared disk, as the repository does."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def __call__(self) -> float:
        """Returns the objective. Raises JobFailed, which names the log.

        Another call of the same job waits for this one, and finds its run.
        """
        with translate_os_errors(self.folder), _alone(self.folder / f".{self.name}.lock"):
            run = finished.find(self.source.root, self.name) or self._run()
            return run.objective

    def _run(self) -> finished.Run:
        place = self.folder / self.name
        clone.make(self.source, place)
        code = self._reproduce(place)
        if code:
            raise JobFailed(f"{_end(code)}, {_last_line(self.log)}")
        clone.bring_back(self.source, place, self.name)
        run = finished.find(self.source.root, self.name)
        if run is None:
            raise JobFailed("it ran, but neither git nor DVC's cache have it; look for a full disk")
        return run

    def _reproduce(self, place: Path) -> int:
        """Returns the exit code of the pipeline, which ends when this process does."""
        command = [*_ends_with_parent(), sys.executable, "-m", "pipeline", *self.overrides]
        own = {"DVC_ROOT": str(self.source.root), "DVC_EXP_NAME": self.name}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=place,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            RUNNING.add(process)
            try:
                return process.wait()
            finally:
                RUNNING.discard(process)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits for its turn; the kernel drops the lock of a process that dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ends_with_parent() -> list[str]:
    """Returns the words before a command that gets SIGTERM when its parent is killed."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "TERM"] if program else []


def _end(code: int) -> str:
    """Returns an exit code in words: -n, and of a shell or ours 128 + n, is signal n."""
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(number).name}"
    return f"exit code {code}"


def _last_line(log: Path) -> str:
    """Returns the error that a log ends with, or its last line."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["nothing was said"])[-1]
