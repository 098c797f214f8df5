"""`python -m benchmarks.sweep_by_hand`: a sweep beside the same trainings by hand, without a sweep.

By hand is `benchmarks/by_hand.py`, a process for each run: once as it is, with `log_model` and a
load in another process, and once as the training alone, of which nothing stays. The sweep's runs
are whole ones, of the same net on the same rows: traced, exported, verified and logged. The clone
has made one run before. What the sweep itself takes is part of it; `benchmarks.sweeps` tells it
apart. `--jobs 4` is its short form.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.compare import ROOT, Figures, measure
from benchmarks.reproduced import clone

TIMES = 3
"""By hand, of which the median is taken: the runs differ in a number alone."""
MOST = 1.5
"""What is aimed at: a sweep against its trainings alone."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep_by_hand")
    parser.add_argument("--jobs", type=int, default=16, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    arguments = parser.parse_args()
    jobs, workers = arguments.jobs, arguments.workers
    with tempfile.TemporaryDirectory() as scratch:
        bare = [by_hand(Path(scratch) / "bare", []) for _ in range(TIMES)]
        logged = [by_hand(Path(scratch) / "logged", ["."]) for _ in range(TIMES)]
        together = sweep(Path(scratch) / "sweep", jobs, workers)
    print(f"{jobs} runs, {workers} workers; a run's share of the sweep, and of all by hand\n")
    print("| | sweep | by hand | ratio | training alone | ratio |\n|---|---|---|---|---|---|")
    row("processor (s)", together.cpu / jobs, middle(logged, "cpu"), middle(bare, "cpu"))
    wall = together.wall * workers / jobs
    row("wall, a worker (s)", wall, middle(logged, "wall"), middle(bare, "wall"))
    return int(together.cpu > MOST * jobs * middle(bare, "cpu"))


def by_hand(place: Path, store: list[str]) -> Figures:
    """Runs the script in a new folder, which it logs to if there is a store."""
    place.mkdir()
    words = [str(ROOT / "benchmarks/by_hand.py"), str(ROOT / "data/digits.csv"), *store]
    figures = measure([sys.executable, *words], place)
    shutil.rmtree(place)
    return figures


def sweep(place: Path, jobs: int, workers: int) -> Figures:
    """Runs so many rates side by side in a clone."""
    command = [sys.executable, "-m", "pipeline"]
    measure([*command, "train.lr=0.5"], clone(place))
    rates = ",".join(f"{(number + 1) / 1000:g}" for number in range(jobs))
    engine = ["-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}"]
    return measure([*command, *engine, f"train.lr={rates}"], place)


def middle(figures: list[Figures], name: str) -> float:
    return statistics.median(getattr(each, name) for each in figures)


def row(name: str, here: float, logged: float, bare: float) -> None:
    cells = f"{here:.1f} | {logged:.1f} | {here / logged:.2f} | {bare:.1f} | {here / bare:.2f}"
    print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
