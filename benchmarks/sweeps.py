"""`python -m benchmarks.sweeps`: what a sweep costs beside the same runs without it.

Runs that differ in their rate are made one after the other in the work tree of one clone of this
repository's HEAD, each by its own command, and side by side by a sweep in another. Both clones have
made one run before, so that neither prepares the data. The processor time is that of all processes;
what the sweep itself takes (its clones, checkouts and commits, and MLflow's import) is part of it.
Seconds mean something on a quiet machine alone, and are never less than the sweep's processor time
shared by all processors: a run alone that uses more than one leaves so much less to gain.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.compare import Figures, measure
from benchmarks.reproduced import clone

SMOKE = "experiment=smoke"
MOST_CPU, MOST_WALL = 1.3, 1.15
"""What is aimed at: processor time of a job against a run alone, and seconds of a sweep against
those of its runs shared by its workers."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps")
    parser.add_argument("--jobs", type=int, default=16, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    asked = parser.parse_args()
    rates = [f"{(number + 1) / 1000:g}" for number in range(asked.jobs)]
    with tempfile.TemporaryDirectory() as scratch:
        alone = [ran(warm(Path(scratch) / "alone"), f"train.lr={rate}") for rate in rates]
        words = (f"train.lr={','.join(rates)}", f"hydra.launcher.n_jobs={asked.workers}")
        place = warm(Path(scratch) / "sweep")
        together = ran(place, "-m", "hydra/launcher=joblib", *words)
    cpu, wall = sum(each.cpu for each in alone), sum(each.wall for each in alone)
    title = f"{asked.jobs} runs, {asked.workers} workers"
    print(f"{title:<20}{'alone':>10}{'sweep':>10}{'ratio':>8}  at most")
    row("processor s a run", cpu / asked.jobs, together.cpu / asked.jobs, MOST_CPU)
    row("seconds in all", wall / asked.workers, together.wall, MOST_WALL)
    processors = len(os.sched_getaffinity(0))
    row("processors in use", cpu / wall, together.cpu / together.wall)
    least = together.cpu / processors
    print(f"with {processors} processors a sweep takes {least:.1f} s at least")
    return int(together.cpu > MOST_CPU * cpu or together.wall > MOST_WALL * wall / asked.workers)


def warm(place: Path) -> Path:
    """The clone, which has made a run."""
    if not place.exists():
        ran(clone(place), "train.lr=0.5")
    return place


def ran(place: Path, *arguments: str) -> Figures:
    return measure([sys.executable, "-m", "pipeline", *arguments, SMOKE], place)


def row(name: str, alone: float, sweep: float, most: float | None = None) -> None:
    print(f"{name:<20}{alone:>10.1f}{sweep:>10.1f}{sweep / alone:>8.2f}  {most or ''}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
