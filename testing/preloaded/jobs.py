"""A parent's jobs, each a child of its own.

Between the pipeline's parent, which may be importing when a child ends, and that child stands a
third process. Here all is imported by then, and the page tables of a process with PyTorch take 24
ms of processor time each time that they are copied.
"""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple

from pipeline.preloading.parent import TAKEN, Job, accepted, close, pass_on, tell, tell_end


class Running(NamedTuple):
    """A child, its end as a descriptor, and who waits for it."""

    child: int
    ended: int
    client: socket.socket


def next_job(listener: socket.socket, refuse: Callable[[Job], str | None], until: int) -> Job:
    """Returns in a process that is there for a job. When nobody holds the other end of `until`
    open, it ends with all that it has started.

    `refuse` returns why a job is none for a child of this process.
    """
    poll = select.poll()
    for descriptor in (until, listener.fileno()):  # first, so that no number is another's by then
        poll.register(descriptor, select.POLLIN)
    running: dict[int, Running] = {}
    while until not in (ready := dict(poll.poll())):
        for descriptor in ready:
            if descriptor == listener.fileno():
                begun = _begun(listener, refuse)
                if isinstance(begun, dict):
                    return begun
                for each in (begun.client.fileno(), begun.ended) if begun else ():
                    running[each] = begun
                    poll.register(each, select.POLLIN)
            elif descriptor == running[descriptor].ended:
                _end(running[descriptor], running, poll)
            elif not pass_on(running[descriptor].client, running[descriptor].child):
                poll.unregister(descriptor)
    for each in set(running.values()):
        os.kill(each.child, signal.SIGKILL)
        os.waitpid(each.child, 0)
    os._exit(0)


def _begun(listener: socket.socket, refuse: Callable[[Job], str | None]) -> Job | Running | None:
    """Returns the job in the child, here who has it, and null where there is none."""
    client = listener.accept()[0]
    job = accepted(client, refuse)
    if job is None:
        client.close()
        return None
    if (child := os.fork()) == 0:
        return job
    close(job["streams"])
    tell(client, TAKEN)
    return Running(child, os.pidfd_open(child), client)


def _end(each: Running, running: dict[int, Running], poll: select.poll) -> None:
    tell_end(each.client, each.child)
    for descriptor in (each.client.fileno(), each.ended):
        del running[descriptor]
    poll.unregister(each.ended)
    with contextlib.suppress(KeyError):  # a client that was killed
        poll.unregister(each.client)
    os.close(each.ended)
    each.client.close()
