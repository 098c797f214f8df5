"""joblib runs jobs side by side on this machine.

Each thread of it waits for one job's pipeline, which is a process of its own: one that is killed
takes no other with it.
"""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError
from pipeline.sweep.engines import Outcome, outcome
from pipeline.sweep.jobs import Job


def run(
    jobs: Sequence[Job], folder: Path, options: Mapping[str, Any]
) -> Generator[tuple[Job, Outcome], None, None]:
    """Runs the jobs side by side; `options` are those of joblib.Parallel: n_jobs, verbose,
    timeout."""
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    try:
        parallel = Parallel(backend="threading", return_as="generator_unordered", **options)
    except (TypeError, ValueError) as error:
        raise ParamsError(f"hydra.launcher: joblib: {error}") from None
    yield from parallel(delayed(_with_outcome)(job) for job in jobs)


def _with_outcome(job: Job) -> tuple[Job, Outcome]:
    return job, outcome(job)
