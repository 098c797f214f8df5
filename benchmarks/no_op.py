"""`python -m benchmarks.no_op`: a `dvc repro` that has nothing to do, beside DVC's own.

The peer is a chain of seven stages that copy a file, in a repository of its own, where DVC reports
nothing to its makers either. The figures are processor time of the whole command, and wall time, as
median (least to most) of the ratios of neighbours.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reproduced import clone, environment, run

STAGES = 7


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.no_op")
    parser.add_argument("--pairs", type=int, default=9, metavar="N")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as scratch:
        ours, trivial = clone(Path(scratch) / "clone"), chain(Path(scratch) / "trivial")
        for place in (ours, trivial):
            run(place, "python", "-m", "dvc", "repro")
        costs = [(cost(ours), cost(trivial)) for _ in range(pairs)]
    for number, name in enumerate(("processor time", "wall time")):
        ratios = sorted(mine[number] / its[number] for mine, its in costs)
        least = [min(each[number] for each in column) for column in zip(*costs, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:<16}{least[0]:.2f} s beside {least[1]:.2f} s   {spread}")
    return 0


def chain(place: Path) -> Path:
    """Returns a repository with stages that copy a file from one to the next."""
    place.mkdir()
    lines = ["stages:"]
    for number in range(1, STAGES + 1):
        before, after = f"{number - 1}.txt", f"{number}.txt"
        lines += [f"  copy-{number}:", f"    cmd: cp {before} {after}"]
        lines += [f"    deps: [{before}]", f"    outs: [{after}]"]
    (place / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (place / "0.txt").write_text("rows\n")
    run(place, "git", "init", "-q")
    run(place, "python", "-m", "dvc", "init", "-q")
    run(place, "python", "-m", "dvc", "config", "core.analytics", "false")
    return place


def cost(place: Path) -> tuple[float, float]:
    """Returns processor and wall seconds of a `dvc repro` there."""
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro"]
    subprocess.run(command, cwd=place, env=environment(), capture_output=True, check=True)
    wall, after = time.perf_counter() - start, os.times()
    own = after.children_user + after.children_system
    return own - before.children_user - before.children_system, wall


if __name__ == "__main__":
    sys.exit(main())
