"""`python -m benchmarks.growth`: how does what a stage costs grow with what it is given?

Of a net of a few layers each axis changes one thing: its rows, its parameters, the epochs (all of
which are kept), the formats. The stages run one by one in a clone of this repository's HEAD,
without DVC. A line is a stage's processor seconds, its largest process' memory in MiB, or the MiB
that it writes, at each point; the exponent is that of the last step of the axis: 1 is proportional,
0 does not grow. Beside a process that starts in seconds an exponent of small numbers means little,
so lines that stay under a second, 64 MiB or 1 MiB of growth are left out. `benchmarks.scale` has
the axis of runs in MLflow's store. `--points 2` is the short form.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.adopted import CONF, MODEL, Cost, measured
from benchmarks.large import DATA
from benchmarks.reproduced import clone

LAYERS = 8
FORMATS = ("torch_export", "onnx", "torch_pickle")
STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify", "log-to-mlflow")
FIGURES = {"processor": "s", "memory": "MiB", "written": "MiB written"}
LEAST = {"processor": 1.0, "memory": 64.0, "written": 1.0}
"""Of growth, so that a line says something."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run is given."""

    rows: int = 1000
    width: int = 256
    epochs: int = 1
    formats: Sequence[str] = FORMATS[:1]

    @property
    def parameters(self) -> int:
        return LAYERS * (self.width + 1) * self.width


BASE = Job()
AXES: Mapping[str, Sequence[tuple[int, Job]]] = {
    "rows": [(BASE.rows * n, replace(BASE, rows=BASE.rows * n)) for n in (1, 10, 100)],
    "parameters": [(each.parameters, each) for each in (BASE, Job(width=810), Job(width=2560))],
    "epochs kept": [(n, replace(BASE, epochs=n)) for n in (1, 10, 100)],
    "formats": [(n, replace(BASE, formats=FORMATS[:n])) for n in (1, 2, 3)],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--axes", nargs="*", default=list(AXES), choices=AXES)
    parser.add_argument("--points", type=int, default=3, metavar="N", help="of each axis")
    arguments = parser.parse_args()
    known: dict[Job, dict[str, Cost]] = {}
    for axis in arguments.axes:
        points = AXES[axis][: arguments.points]
        for _, job in points:
            if job not in known:
                known[job] = costs(job)
        print_table(axis, [(number, known[job]) for number, job in points])
    return 0


def costs(job: Job) -> dict[str, Cost]:
    """Returns what each stage of it costs, in a clone of its own."""
    from pipeline.config.yaml_text import load_yaml

    with tempfile.TemporaryDirectory() as scratch:
        place = clone(Path(scratch) / "clone")
        configure(place, job)
        stages = load_yaml((place / "dvc.yaml").read_text(), "dvc.yaml")["stages"]
        words = {stage: stages[stage]["cmd"].split()[1:] for stage in STAGES}
        return {
            stage: measured(place, [sys.executable, *words[stage]], PRELOAD="0") for stage in STAGES
        }


def configure(place: Path, job: Job) -> None:
    """Writes model, rows and params.yaml."""
    from pipeline.config.composition import compose_conf, interpolated
    from pipeline.config.yaml_text import dump_yaml

    (place / "models/large.py").write_text(MODEL)
    (place / "conf/model/large.yaml").write_text(CONF % (job.width, LAYERS, "Adam"))
    (place / "conf/data/large.yaml").write_text(DATA % job.width)
    values = np.random.default_rng(0).standard_normal((job.rows, job.width), np.float32)
    np.savez(place / "data/large.npz", values=values, label=np.arange(job.rows) % 2)
    options = [
        *("model=large", "data=large", "train.batch_size=256", f"train.epochs={job.epochs}"),
        f"export.attempt=[{','.join(job.formats[1:])}]",
    ]
    (place / "params.yaml").write_text(
        dump_yaml(interpolated(compose_conf(place / "conf", options)))
    )


def print_table(axis: str, points: Sequence[tuple[int, dict[str, Cost]]]) -> None:
    """Prints a line for each stage and figure that grows."""
    numbers = [number for number, _ in points]
    print(f"\n| {axis} | {' | '.join(f'{each:,}' for each in numbers)} | exponent |")
    print(f"|---{'|---' * (len(numbers) + 1)}|")
    for stage in STAGES:
        for figure, unit in FIGURES.items():
            values = [getattr(each[stage], figure) for _, each in points]
            if values[-1] - values[0] >= LEAST[figure]:
                shown = " | ".join(f"{each:.1f}" for each in values)
                print(
                    f"| {stage}, {unit} | {shown} | {exponent(numbers, values):.2f} |", flush=True
                )


def exponent(numbers: Sequence[int], values: Sequence[float]) -> float:
    """Returns that of the last step of an axis."""
    return math.log(values[-1] / values[-2]) / math.log(numbers[-1] / numbers[-2])


if __name__ == "__main__":
    sys.exit(main())
