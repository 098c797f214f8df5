"""Run by its path, `python -I fork_server.py SOCKET ABSENT MODULES`: has imported what takes long,
and forks a process for each job, which confines itself as launcher says and runs its script.

It knows no model and no job: what a child is given, it is given by itself. ABSENT and MODULES are
names with commas between them; the first count as missing while the second are imported. SOCKET is
a descriptor, which brings each job with two more: its standard error, and a socket where its number
is told with a descriptor of it, and later its exit code. A job that is a list of modules is another
server, which has imported these as well, and gets a SOCKET of its own in place of a standard error.
When nobody holds the other end of SOCKET, it ends and its children with it. Who asks is in
processes.py.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

LONGEST_JOB = 1 << 20
"""Bytes."""


def main(control: socket.socket, absent: list[str], modules: list[str]) -> None:
    """Serves jobs until it is ended; a child of it does each."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from launcher import confine  # type: ignore[import-not-found]

    del sys.path[0]
    server, seconds = _Server(control), 0.0
    while True:
        seconds += _import(modules, absent)
        job = server.next_job()
        if isinstance(job, dict):
            _become(job, confine, seconds)
        server, modules = _Server(job.control), job.modules


def _import(modules: list[str], absent: list[str]) -> float:
    """Returns the seconds that it took."""
    start = time.perf_counter()
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    for name in modules:
        with contextlib.suppress(ImportError):  # whoever needs it says so
            importlib.import_module(name)
    for name in absent:
        del sys.modules[name]
    seconds = time.perf_counter() - start
    gc.freeze()
    return seconds


class _More(NamedTuple):
    """What a server is to be that has imported more."""

    control: socket.socket
    modules: list[str]


class _Server:
    """Hands jobs to children, and tells whoever asked for one how its child ended."""

    def __init__(self, control: socket.socket):
        self.control = control
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.children: dict[int, tuple[int, socket.socket]] = {}
        """By a descriptor of each: its number, and where its exit code is told."""

    def next_job(self) -> dict[str, Any] | _More:
        """Returns in a child only, with its job."""
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor in self.children:
                    self._ended(descriptor)
                elif job := self._begun():
                    return job

    def _begun(self) -> dict[str, Any] | _More | None:
        message, descriptors, _, _ = socket.recv_fds(self.control, LONGEST_JOB, 2)
        if not message:
            self._end()
        own, reply = descriptors
        server, child, job = os.getpid(), os.fork(), json.loads(message)
        if child == 0 and isinstance(job, list):
            os.close(reply)
            self._close()
            return _More(socket.socket(fileno=own), job)
        if child == 0:
            os.dup2(own, 2)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return {**job, "parent": server}
        os.close(own)
        child_descriptor, channel = os.pidfd_open(child), socket.socket(fileno=reply)
        _tell(channel, child, child_descriptor)
        self.children[child_descriptor] = child, channel
        self.poll.register(child_descriptor, select.POLLIN)
        return None

    def _ended(self, descriptor: int) -> None:
        child, channel = self.children.pop(descriptor)
        self.poll.unregister(descriptor)
        os.close(descriptor)
        _tell(channel, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        channel.close()

    def _close(self) -> None:
        """Lets go of what is the parent's."""
        self.control.close()
        for descriptor, (_, channel) in self.children.items():
            os.close(descriptor)
            channel.close()

    def _end(self) -> None:
        for child, _ in self.children.values():
            os.kill(child, signal.SIGKILL)
        os._exit(0)


def _tell(asker: socket.socket, number: int, *descriptors: int) -> None:
    """Answers whoever asked; if that process is gone, nobody misses the answer."""
    with contextlib.suppress(OSError):
        socket.send_fds(asker, [str(number).encode()], descriptors)


def _become(job: dict[str, Any], confine: Callable[..., None], seconds: float) -> NoReturn:
    """Runs the script as `python -I launcher terms.json script argument ...` does, with this
    directory and environment, and what the imports took as one more argument."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(job["environment"])
    tempfile.tempdir = None  # an import may have asked where temporary files go
    os.chdir(job["directory"])
    terms, script, *arguments = job["arguments"]
    sys.argv = [script, *arguments, str(seconds)]
    code: object = 1
    try:
        confine({**json.loads(Path(terms).read_text()), "parent": job["parent"]})
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code
    finally:  # without the frameworks' own ends: onnxruntime's waits for a thread no fork has
        if error := sys.exception():
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), *(each.split(",") for each in sys.argv[2:4]))
