"""Run by its path, `python -I fork_server.py SOCKET ABSENT MODULES`: has imported what takes long,
and forks a process for each job, which confines itself as launcher says and runs its script.

It knows no model and no job: what a child is given, it is given by itself. ABSENT and MODULES are
names with commas between them; the first count as missing while the second are imported. SOCKET is
a descriptor, which brings each job with two more: its standard error, and a socket where its number
is told with a descriptor of it, and later its exit code. When nobody holds the other end of SOCKET,
it ends and its children with it. Who asks is in processes.py.
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
from typing import Any

LONGEST_JOB = 1 << 20
"""Bytes."""


def main(control: socket.socket, absent: list[str], modules: list[str]) -> None:
    """Serves; in a child it does the job."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from launcher import confine  # type: ignore[import-not-found]

    del sys.path[0]
    start = time.perf_counter()
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    for name in modules:
        with contextlib.suppress(ImportError):  # whoever needs it says so
            importlib.import_module(name)
    for name in absent:
        del sys.modules[name]
    seconds = time.perf_counter() - start
    gc.freeze()
    _become(_Server(control).next_job(), confine, seconds)


class _Server:
    def __init__(self, control: socket.socket):
        self.control = control
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.children: dict[int, tuple[int, socket.socket]] = {}
        """By a descriptor of each: its number, and where its exit code is told."""

    def next_job(self) -> dict[str, Any]:
        """Returns in a child only, with its job."""
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor in self.children:
                    self._ended(descriptor)
                elif job := self._begun():
                    return job

    def _begun(self) -> dict[str, Any] | None:
        message, descriptors, _, _ = socket.recv_fds(self.control, LONGEST_JOB, 2)
        if not message:
            self._end()
        stderr, reply = descriptors
        server, child = os.getpid(), os.fork()
        if child == 0:
            os.dup2(stderr, 2)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return {**json.loads(message), "parent": server}
        os.close(stderr)
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

    def _end(self) -> None:
        for child, _ in self.children.values():
            os.kill(child, signal.SIGKILL)
        os._exit(0)


def _tell(asker: socket.socket, number: int, *descriptors: int) -> None:
    """The asker may be gone, and is then missed by nobody."""
    with contextlib.suppress(OSError):
        socket.send_fds(asker, [str(number).encode()], descriptors)


def _become(job: dict[str, Any], confine: Callable[..., None], seconds: float) -> None:
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
