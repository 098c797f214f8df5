"""`python -m pipeline.preloading.server DVC LAST NAME=DESCRIPTOR …`: starts a process for each
name, which imports what imports.py says and then does what parent.py says; one after the other, or
when asked. What `verify` and frameworks both need is imported before.

DVC is the number of its process, and LAST the last stage that it runs. All end with it, but for a
stage that one of them runs: that ends with its client. A descriptor is a listening socket's; there
are no files.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.preloading.imports import IMPORTS, METRICS, UNREAD, other_variable, preload
from pipeline.preloading.parent import Job, become, next_job, run_module

LAST = {"pytorch": "export_complete", "keras": "export_complete"}
LAST |= {METRICS: "verify", "mlflow": "log_to_mlflow"}
"""The stage after which the process of a name is of no more use."""
GARBAGE_THRESHOLD = 50_000
START = dict(os.environ)


def main(dvc: int, last: str, listeners: dict[str, socket.socket]) -> Job:
    """Returns in a process that is there for a job."""
    ended = os.pidfd_open(dvc)
    before = _nothing_of_ours()
    if METRICS in listeners:
        for modules in IMPORTS[METRICS]:
            preload(METRICS, modules)
    owner, _held_open = os.pipe()
    imported, imports_done = os.pipe()
    waiting = {listeners[name].fileno(): name for name in listeners}
    poll = select.poll()
    for descriptor in (ended, imported, *waiting):
        poll.register(descriptor, select.POLLIN)
    ready, started = [*waiting][:1], list[int]()
    while ended not in ready:
        if imported in ready:
            os.read(imported, 1)
            ready += [*waiting][:1]
        for descriptor in [each for each in waiting if each in ready]:
            name = waiting.pop(descriptor)
            poll.unregister(descriptor)
            if (process := os.fork()) == 0:
                os.close(_held_open)
                for other in waiting.values():
                    listeners[other].close()
                return _preloaded(name, last, listeners[name], owner, imports_done, before)
            listeners[name].close()
            started.append(process)
        ready = [descriptor for descriptor, _ in poll.poll()]
    for process in started:  # whatever one is importing
        os.kill(process, signal.SIGKILL)
    os._exit(0)


def _nothing_of_ours() -> set[str]:
    """Returns the modules that are there before anything is imported for a job: none of ours, and
    none of the user's will be found."""
    del sys.path[0]  # the project's folder
    for each in [each for each in sys.modules if each.partition(".")[0] == "pipeline"]:
        del sys.modules[each]
    gc.set_threshold(GARBAGE_THRESHOLD)
    return set(sys.modules)


def _preloaded(
    name: str,
    last: str,
    listener: socket.socket,
    owner: int,
    imports_done: int,
    before: set[str],
) -> Job:
    """Imports no more once the last stage is begun."""
    lasts = tuple(f".{each}" for each in (LAST[name], last.replace("-", "_")))

    def refuse(job: Job) -> str | None:
        if job["unlike"]:
            return ", ".join(job["unlike"])
        if variable := other_variable(START, job["environ"], UNREAD):
            return f"variable {variable}"
        imported = {each.partition(".")[0] for each in sys.modules.keys() - before}
        shadowed = sorted(imported & {each.stem for each in Path(job["cwd"]).iterdir()})
        return f"{shadowed[0]} is another module there" if shadowed else None

    def is_last(job: Job) -> bool:
        return str(job["words"][1]).endswith(lasts)

    return next_job(listener, owner, refuse, _importing(name, imports_done), is_last)


def _importing(name: str, imports_done: int) -> Iterator[None]:
    first, *later = IMPORTS[name]
    for modules in (first, *([module] for group in later for module in group)):
        preload(name, modules)
        gc.freeze()
        yield
    os.write(imports_done, b"x")


if __name__ == "__main__":
    dvc, last, *given = sys.argv[1:]
    pairs = (each.split("=") for each in given)
    job = main(int(dvc), last, {name: socket.socket(fileno=int(number)) for name, number in pairs})
    become(job)
    run_module(job)
