"""`python -m benchmarks.compare`: the pipeline beside the same job written by hand, in turn: wall
time, processor time and memory as ratios.

Both start from nothing made (no artifacts, a fresh MLflow store) and end with a model that another
process has loaded. `--beside REVISION` takes the pipeline of that revision in place of the job by
hand. Memory is the largest sum over all processes of a job that are alive at once
(proportional set size, so that shared pages count once), sampled every 200 ms.
"""

import argparse
import contextlib
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PERIOD = 0.2
BY_HAND = {"torch_mlp": "by_hand.py", "keras_mlp": "by_hand_keras.py"}


@dataclass(frozen=True)
class Figures:
    wall: float
    cpu: float
    peak: float
    largest: float


PR_SET_CHILD_SUBREAPER = 36


def measure(command: list[str], cwd: Path) -> Figures:
    """Seconds, seconds, MiB of all processes together, MiB of the largest one."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before, start = os.times(), time.perf_counter()
    with (cwd / "output.log").open("w") as log:
        job = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        peak = largest = 0.0
        while job.poll() is None:
            sizes = memory(job.pid)
            peak, largest = max(peak, sum(sizes)), max([largest, *sizes])
            time.sleep(PERIOD)
    wall = time.perf_counter() - start
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()  # what outlives its parent, and is ours then
    after = os.times()
    if job.returncode:
        sys.exit(f"{' '.join(command)} ended with {job.returncode}: {cwd / 'output.log'}")
    cpu = after.children_user + after.children_system
    return Figures(wall, cpu - before.children_user - before.children_system, peak, largest)


def memory(session: int) -> list[float]:
    """MiB of each process of a session."""
    sizes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) != session:
                continue
            rollup = (process / "smaps_rollup").read_text()
        except OSError:  # it ended meanwhile
            continue
        kib = next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
        sizes.append(int(kib) / 1024)
    return sizes


def pipeline(scratch: Path, model: str, revision: str = "HEAD") -> Figures:
    clone = scratch / "clone"
    for command in (
        ["clone", "-q", str(ROOT), str(clone)],
        ["-C", str(clone), "checkout", "-q", revision],
    ):
        subprocess.run(["git", *command], check=True)
    (clone / "dvc.lock").unlink(missing_ok=True)
    choices = clone / "conf/config.yaml"
    choices.write_text(choices.read_text().replace("model: torch_mlp", f"model: {model}"))
    figures = measure([sys.executable, "-m", "dvc", "repro"], clone)
    shutil.rmtree(clone)
    return figures


def by_hand(scratch: Path, model: str) -> Figures:
    store = scratch / "store"
    store.mkdir()
    words = [str(ROOT / "data/digits.csv"), str(store)]
    figures = measure([sys.executable, str(ROOT / "benchmarks" / BY_HAND[model]), *words], store)
    shutil.rmtree(store)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare")
    parser.add_argument("--runs", type=int, default=5, help="counted pairs, after one warm-up")
    parser.add_argument("--model", choices=BY_HAND, default="torch_mlp")
    parser.add_argument("--beside", metavar="REVISION", help="of this repository")
    arguments = parser.parse_args()
    runs, model = arguments.runs, arguments.model
    revision = arguments.beside and commit(arguments.beside)
    pairs = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(runs + 1):
            ours, place = pipeline(Path(scratch), model), Path(scratch)
            theirs = pipeline(place, model, revision) if revision else by_hand(place, model)
            note = "warm-up" if number == 0 else f"{number}/{runs}"
            print(f"{note}: {ours.wall:.1f} s beside {theirs.wall:.1f} s", flush=True)
            pairs.append((ours, theirs))
    report(pairs[1:], arguments.beside or "by hand")


def commit(revision: str) -> str:
    """Returns what a clone knows it by. Ends the process where there is none."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--verify", "-q", f"{revision}^{{commit}}"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or sys.exit(f"--beside {revision}: no such commit here")


def report(pairs: list[tuple[Figures, Figures]], peer: str) -> None:
    """Medians of both, and the ratio pair by pair as median (least to most)."""
    rows = {"wall": "wall s", "cpu": "processor s", "peak": "memory, all MiB"}
    rows |= {"largest": "memory, largest MiB"}
    print(f"\n{'':<20}{'pipeline':>10}{peer[:9]:>10}   ratio (least to most)")
    for name, title in rows.items():
        ours = statistics.median(getattr(a, name) for a, _ in pairs)
        theirs = statistics.median(getattr(b, name) for _, b in pairs)
        ratios = sorted(getattr(a, name) / getattr(b, name) for a, b in pairs)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{title:<20}{ours:>10.1f}{theirs:>10.1f}   {spread}")


if __name__ == "__main__":
    main()
