"""A part of a team's server: a process that outlives the command that started it."""

import contextlib
import fcntl
import http.client
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

STARTS, STOPS = 120, 20
"""Seconds that a part may take to answer, and to end before it is killed."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Runs as long as it holds the lock on its own file, whatever becomes of its number."""

    name: str
    folder: Path
    command: Sequence[str]
    environ: Mapping[str, str]
    port: int
    ready: Callable[[], bool]
    user: str | None = None
    ends_on: signal.Signals = signal.SIGTERM

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def number(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def running(self) -> bool:
        if not self.number.exists():
            return False
        with self.number.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def start(self) -> None:
        """Gives back when it answers; one that already runs is left alone."""
        if self.running:
            return
        self._port_is_free()
        with self.number.open("a+") as file, self.log.open("ab") as log:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            process = subprocess.Popen(
                self.command,
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(file.fileno(),),
                start_new_session=True,
                **as_user(self.user),
            )
            file.truncate(0)
            file.write(str(process.pid))
        self._answers(process)

    def _port_is_free(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as fault:
                raise PipelineError(
                    f"{self.name}: port {self.port}: {fault.strerror}; give another one, or end "
                    "what listens there"
                ) from None

    def _answers(self, process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + STARTS
        while not self.ready():
            if process.poll() is not None:
                raise PipelineError(
                    f"{self.name}: ended with {process.returncode} when it was started: "
                    f"{self._last_words()}; look at {self.log}"
                )
            if time.monotonic() > until:
                self.stop(signal.SIGKILL)
                raise PipelineError(
                    f"{self.name}: no answer on port {self.port} within {STARTS} s; look at "
                    f"{self.log}"
                )
            time.sleep(0.1)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")

    def stop(self, by: signal.Signals | None = None) -> None:
        """With every process that it started."""
        by = by or self.ends_on
        until = time.monotonic() + STOPS
        while self.running:
            killed = signal.SIGKILL if time.monotonic() > until else by
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(self.number.read_text()), killed)
            self._ended(1.0)

    def _ended(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.running and time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(int(self.number.read_text()), os.WNOHANG)
            time.sleep(0.05)


def as_user(name: str | None) -> dict[str, Any]:
    """For subprocess: who a process becomes, without root's groups."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def answers(port: int, path: str) -> bool:
    """Any answer below 500 will do: to a stranger an S3 store says 403."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", path)
        return connection.getresponse().status < 500
    return False


@contextlib.contextmanager
def all_or_none(parts: Sequence[Part]) -> Iterator[None]:
    """What was started is stopped again when what follows does not start."""
    before = [part for part in parts if part.running]
    try:
        yield
    except BaseException:
        for part in reversed(parts):
            if part not in before:
                part.stop()
        raise
