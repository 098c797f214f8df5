"""Starts the processes that confine themselves: forked from one that has imported what they need.

Importing a framework is most of what such a process does. The one that they are forked from is a
fresh interpreter with an environment of its own, and has met no model. Where the system has no safe
fork, a process is started for each job.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

FORK_SERVER = Path(__file__).resolve().with_name("fork_server.py")
LAUNCHER = FORK_SERVER.with_name("launcher")
FORKS = sys.platform.startswith("linux")


class Process(Protocol):
    """What `subprocess.Popen` and `Forked` have alike."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a process is started with."""

    arguments: Sequence[str]
    """terms.json, a script, and its arguments."""
    directory: Path
    environment: Mapping[str, str]
    stderr: IO[bytes]


class Forked:
    """A child of a fork server's, which ends when the server does."""

    def __init__(self, number: int, descriptor: int, reply: socket.socket):
        self.pid, self._descriptor, self._reply = number, descriptor, reply
        self._code: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            if not select.select([self._reply], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self._code = int(self._reply.recv(32) or -signal.SIGKILL)
            self._reply.close()
            os.close(self._descriptor)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)


class ForkServer:
    """A process that has imported `modules`; it ends with this one, however that ends."""

    def __init__(self, control: socket.socket, process: Process):
        self._control, self._process = control, process

    @classmethod
    def fresh(
        cls, modules: Sequence[str], absent: Sequence[str], environ: Mapping[str, str]
    ) -> "ForkServer":
        """Starts one."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            words = [str(its.fileno()), ",".join(absent), ",".join(modules)]
            process = subprocess.Popen(
                [sys.executable, "-I", str(FORK_SERVER), *words],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        return cls(ours, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def with_more(self, modules: Sequence[str]) -> "ForkServer | None":
        """Returns one that has imported these as well. None where this one is gone."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            process = self._fork(list(modules), its.fileno())
        return ForkServer(ours, process) if process else None

    def start(self, start: Start) -> Forked | None:
        """Returns None where the server is gone."""
        job = {
            "arguments": list(start.arguments),
            "directory": str(start.directory),
            "environment": dict(start.environment),
        }
        return self._fork(job, start.stderr.fileno())

    def _fork(self, job: object, descriptor: int) -> Forked | None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its, contextlib.suppress(BrokenPipeError):
            message = json.dumps(job).encode()
            socket.send_fds(self._control, [message], [descriptor, its.fileno()])
        number, child, _, _ = socket.recv_fds(ours, 32, 1)
        return Forked(int(number), child[0], ours) if number else None

    def close(self) -> None:
        """Ends it and its children."""
        self._control.close()
        self._process.wait()


class Servers:
    """The fork servers of one piece of work, each started when it is first asked for.

    Where a server is gone, or there can be none, a process does its imports itself, and says what
    is wrong with them.
    """

    def __init__(self, home: Path, absent: Sequence[str]):
        self._home, self._absent = {"HOME": str(home), "TMPDIR": str(home)}, absent
        self._servers: dict[tuple[tuple[str, ...], object], ForkServer] = {}
        self._locks: dict[object, threading.Lock] = {}
        """Of those that may be forked from one another: who asks for one waits for its imports."""
        self._lock = threading.Lock()

    def start(self, imports: tuple[str, ...], start: Start) -> Process:
        return (FORKS and self.server(imports, start).start(start)) or started(start)

    def server(self, imports: tuple[str, ...], start: Start) -> ForkServer:
        """Returns that of processes with these imports and variables: forked from one that has the
        first of these imports, where there is one."""
        environ = {**start.environment, **self._home}
        variables = tuple(sorted(environ.items()))
        with self._lock:
            lock = self._locks.setdefault((imports[:1], variables), threading.Lock())
        with lock:
            for count in range(len(imports), 0, -1):
                server = self._servers.get((imports[:count], variables))
                if server and count < len(imports):
                    server = server.with_more(imports[count:])
                if server:
                    break
            else:
                server = ForkServer.fresh(imports, self._absent, environ)
            self._servers[imports, variables] = server
        return server

    def close(self) -> None:
        for server in reversed(self._servers.values()):  # one before that which it is forked from
            server.close()


@contextlib.contextmanager
def servers(absent: Sequence[str]) -> Iterator[Servers]:
    """Ends them all at the end."""
    with tempfile.TemporaryDirectory() as home:
        every = Servers(Path(home), absent)
        try:
            yield every
        finally:
            every.close()


def started(start: Start) -> "subprocess.Popen[bytes]":
    """Starts a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-IB", str(LAUNCHER), *start.arguments],
        cwd=start.directory,
        env=dict(start.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=start.stderr,
    )
