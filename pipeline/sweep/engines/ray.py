"""Ray runs jobs on the nodes of its cluster, one placement a job, through its core alone.

A worker or a node that dies gives its job back to Ray, which runs it elsewhere so many times; the
job goes on in its clone. When the command that waits dies, Ray ends what it had asked for.
"""

import os
import signal
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import CannotRun, ParamsError
from pipeline.run.signals import SIGNALS
from pipeline.sweep.engines import Outcome, outcome
from pipeline.sweep.engines._ray_log import rays_apart
from pipeline.sweep.jobs import Job, JobFailed

INTERVAL = 1.0
"""Seconds in which a signal is seen at the latest."""
REACHED_WITHIN = 10.0
START = "`ray start --head` starts a cluster"


def run(
    jobs: Sequence[Job], folder: Path, options: Mapping[str, Any]
) -> Generator[tuple[Job, Outcome], None, None]:
    """`options` are `address` and `variables`, and those of a task of Ray's: num_cpus, num_gpus,
    memory, max_retries and others.

    Raises CannotRun where there is no Ray, or no cluster at the address.
    """
    placed = {
        name: value for name, value in options.items() if name not in ("address", "variables")
    }
    ray = _ray()
    connected = _connected(ray, options["address"], options["variables"])
    with rays_apart(folder), connected:
        try:
            task = ray.remote(outcome).options(name=f"sweep-{folder.name}", **placed)
        except (TypeError, ValueError) as error:
            raise ParamsError(f"hydra.launcher: ray: {error}") from None
        waiting = {task.remote(job): job for job in jobs}
        try:
            while waiting:
                ended, _ = ray.wait(list(waiting), timeout=INTERVAL)
                for each in ended:
                    yield waiting.pop(each), _outcome(ray, each)
        finally:
            for each in waiting:
                ray.cancel(each, force=True)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise CannotRun("ray: not installed; `uv pip install ray`") from None
    return ray


def _demand_reachable(address: str) -> None:
    """Raises CannotRun for a host and port where nobody answers, for which Ray waits for
    minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHED_WITHIN).close()
    except OSError as error:
        raise CannotRun(f"Ray at {address}: {error.strerror or error}; {START}") from None


@contextmanager
def _connected(ray: Any, address: str, variables: Sequence[str]) -> Iterator[None]:
    """Connects to Ray, and takes SIGTERM back from it, which ends a sweep with its summary."""
    _demand_reachable(address)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    given = {name: os.environ[name] for name in variables if name in os.environ}
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": given},
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise CannotRun(f"Ray at {address}: {first}; {START}") from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _outcome(ray: Any, ended: Any) -> Outcome:
    """Returns what a task came to; one that Ray gave up has no result."""
    try:
        result: Outcome = ray.get(ended)
        return result
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        return JobFailed(f"Ray gave it up: {lines[0].strip()}")
