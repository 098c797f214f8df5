"""A process that has imported what takes long, and forks one for each job it is handed.

Between it and the job's process stands a third, which waits for that one's end, passes signals on,
and kills it when the client is gone: so it is done at once, whatever is being imported here.
"""

import contextlib
import os
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.run.dvc_process import STANDS_FOR

Job = dict[str, Any]
"""`words` after `python`, `cwd`, `environ`, `umask`, `group`, `client` (its number), `streams`:
descriptors, and `unlike`: what the client is that no child of this process would be."""
LARGEST = 1 << 20
"""Bytes of a job, with its environment."""
SPACES = ("mnt", "net", "pid", "user", "ipc", "uts")
TAKEN = "taken"


def parsed(message: bytes) -> Job:
    """Returns the job that a client says, with a zero byte between the parts: umask, group, client,
    directory, the number of words, the words, and variables with their values."""
    umask, group, client, cwd, count, *parts = os.fsdecode(message).split("\0")
    words, variables = parts[: int(count)], parts[int(count) :]
    numbers = {"umask": int(umask), "group": int(group), "client": int(client)}
    environ = dict(each.split("=", 1) for each in variables)
    return {**numbers, "cwd": cwd, "words": words, "environ": environ}


def next_job(
    listener: socket.socket,
    owner: int,
    refuse: Callable[[Job], str | None],
    importing: Iterator[None],
    is_last: Callable[[Job], bool],
) -> Job:
    """Returns in a process that is there for a job. Ends when nobody holds the other end of `owner`
    open, or once the last job is taken. It takes one step of `importing` first, and the others
    while there is no job.

    `refuse` returns why a job is none for a child of this process. Jobs go on when this process
    ends.
    """
    poll = select.poll()
    for descriptor in (owner, listener.fileno()):
        poll.register(descriptor, select.POLLIN)
    next(importing)
    importing_more, relays = True, set[int]()
    while True:
        ready = [descriptor for descriptor, _ in poll.poll(0 if importing_more else None)]
        relays -= {each for each in relays if os.waitpid(each, os.WNOHANG)[0]}
        if owner in ready:
            os._exit(0)
        if ready:
            job, relay = _begun(listener, refuse)
            if job and not relay:
                return job
            relays |= {relay} if relay else set()
            if job and is_last(job):
                os._exit(0)
        elif importing_more:
            importing_more = next(importing, False) is None


def _begun(
    listener: socket.socket, refuse: Callable[[Job], str | None]
) -> tuple[Job | None, int | None]:
    """Returns the job, if there is one, and the process that has it now: none in that itself."""
    client = listener.accept()[0]
    relay = None
    if (job := accepted(client, refuse)) and (relay := os.fork()) == 0:
        listener.close()
        if (child := os.fork()) == 0:
            client.close()
            return job, None
        close(job["streams"])
        _relay(client, child)
    close(job["streams"] if job else [])
    client.close()
    return job, relay


def accepted(client: socket.socket, refuse: Callable[[Job], str | None]) -> Job | None:
    """Returns the job that a client says, unless it is refused, which the client is told."""
    content, streams = b"", list[int]()
    with contextlib.suppress(ConnectionResetError):  # it was killed before it said what it wants
        content, streams, _, _ = socket.recv_fds(client, LARGEST, 4)
    if content:
        job = parsed(content) | {"streams": streams, "unlike": _unlike(client)}
        if not (reason := refuse(job)):
            return job
        tell(client, reason)
    close(streams)
    return None


def _relay(client: socket.socket, child: int) -> None:
    """Ends when the child does, whose exit code it tells."""
    tell(client, TAKEN)
    poll, ended = select.poll(), os.pidfd_open(child)
    for descriptor in (client.fileno(), ended):
        poll.register(descriptor, select.POLLIN)
    while ended not in dict(poll.poll()):
        if not pass_on(client, child):
            poll.unregister(client)
    tell_end(client, child)
    os._exit(0)


def pass_on(client: socket.socket, child: int) -> bool:
    """Gives a child the signal that its client has got; a client that is gone was killed. Returns
    whether it is there."""
    message = b""
    with contextlib.suppress(ConnectionResetError):
        message = client.recv(16)
    os.kill(child, message[0] if message else signal.SIGKILL)
    return bool(message)


def tell_end(client: socket.socket, child: int) -> None:
    """Tells the exit code of a child that has ended."""
    tell(client, str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


def close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def tell(client: socket.socket, word: str) -> None:
    with contextlib.suppress(OSError):  # it may be gone
        client.send(word.encode())


def _unlike(client: socket.socket) -> list[str]:
    """Returns what of the client no child of this process would have."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, *owner = struct.unpack("3i", credentials)
    if owner != [os.getuid(), os.getgid()]:
        return ["owner"]
    try:
        return [what for what, of in LIKE.items() if of(pid) != of(os.getpid())]
    except OSError as fault:
        return [str(fault)]


def _namespaces(pid: int) -> list[str]:
    return [str(Path(f"/proc/{pid}/ns/{space}").readlink()) for space in SPACES]


def _limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


LIKE: dict[str, Callable[[int], object]] = {
    "session": os.getsid,
    "namespaces": _namespaces,
    "limits": _limits,
    "affinity": os.sched_getaffinity,
}


def become(job: Job) -> None:
    """Makes this process what the client is, with the job's streams in place of its own."""
    for number, descriptor in enumerate(job["streams"][:3]):
        os.dup2(descriptor, number)
    for number in (int(entry.name) for entry in [*Path("/proc/self/fd").iterdir()]):
        if number > 2 and number not in job["streams"][3:]:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(number)
    if job["group"] != os.getpgid(0):
        os.setpgid(0, job["group"])
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(job["umask"])
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environ"])
    tempfile.tempdir = None  # an import may have asked where temporary files go
    sys._xoptions[STANDS_FOR] = str(job["client"])


def run_module(job: Job) -> None:
    """Runs `python -m module …` as it runs there, with the client's directory first on the path.
    In lists of processes it has the client's number and the module's name."""
    _, module, *arguments = job["words"]
    Path("/proc/self/comm").write_text(f"{job['client']} {module.rpartition('.')[2]}"[:15])
    sys.path.insert(0, job["cwd"])
    sys.argv, sys.orig_argv = ["-m", *arguments], [sys.executable, *job["words"]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
