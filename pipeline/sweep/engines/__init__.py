"""An engine is a module that hands jobs to what runs them side by side, and is found by its name.

`run(jobs, folder, options)` gives each job with its outcome as it ends; closed before, it cancels
what it has queued.
"""

import importlib
import pkgutil
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from pipeline.errors import ParamsError, PipelineError
from pipeline.sweep.jobs import Job, Pruned

Outcome = float | Pruned | PipelineError
"""The objective, or why there is none."""


class Engine(Protocol):
    def run(
        self, jobs: Sequence[Job], folder: Path, options: Mapping[str, Any]
    ) -> Generator[tuple[Job, Outcome], None, None]: ...


def load(name: str) -> Engine:
    known = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name[0] != "_")
    if name not in known:
        raise ParamsError(f"hydra.launcher.engine: found {name!r}, expected {' or '.join(known)}")
    return cast(Engine, importlib.import_module(f"{__name__}.{name}"))


def outcome(job: Job) -> Outcome:
    """Returns what a job came to; a fault of one ends no other."""
    try:
        return job()
    except PipelineError as error:
        return error
