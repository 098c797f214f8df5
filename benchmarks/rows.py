"""`python -m benchmarks.rows`: does memory grow with the rows?

Each kind of raw data is prepared and trained on twice in a clone of this repository's HEAD, the
second time with ten times the rows; the figures are the largest memory of the stage's process, and
their ratio. What is trained on is larger than what is mapped, in either run.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reproduced import clone, environment

FACTOR = 10
COLUMNS, SIDE = 256, 32
STAGES = {
    "parts": ("prepare", "train"),
    "function": ("prepare", "train"),
    "files": ("prepare",),
}
"""Pictures from files are trained on as those of the function are."""
SHARE = {"parts": 1, "function": 2, "files": 8}
"""Of the rows: what they weigh and cost differs."""
INTERVAL = 0.02
"""Seconds between two looks at a process."""
TABLE = ("model=torch_tabular", "model.loss._target_=torch.nn.CrossEntropyLoss")
PICTURES = ("model=torch_images", "model.net.channels=2")
LABEL = {"label": {"source": "label", "classes": 2}}
FUNCTION = f"""
import numpy as np


def rows(count):
    draw = np.random.default_rng(0)
    for number in range(count):
        picture = draw.integers(0, 256, ({SIDE}, {SIDE}, 3), np.uint8)
        yield {{"picture": picture, "label": number % 2}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows")
    parser.add_argument("--rows", type=int, default=30_000, metavar="N")
    parser.add_argument("--most", type=float, default=1.2, metavar="RATIO")
    parser.add_argument("--kinds", nargs="*", default=["parts", "function", "files"])
    arguments = parser.parse_args()
    print("| raw data | rows | prepare MiB | | train MiB | |\n|---|---|---|---|---|---|")
    worst = 0.0
    for kind in arguments.kinds:
        first: dict[str, float] = {}
        fewest = arguments.rows // SHARE[kind]
        for rows in (fewest, FACTOR * fewest):
            with tempfile.TemporaryDirectory() as scratch:
                found = peaks(clone(Path(scratch) / "clone"), kind, rows)
            first = first or found
            ratios = {stage: found[stage] / first[stage] for stage in found}
            worst = max(worst, *ratios.values())
            cells = (f"{found[stage]:.0f} | {ratios[stage]:.2f}" for stage in found)
            print(f"| {kind} | {rows:,} | {' | '.join(cells)} |", flush=True)
    return int(worst > arguments.most)


def peaks(place: Path, kind: str, rows: int) -> dict[str, float]:
    """Makes the raw data, and returns the largest memory of each stage in MiB."""
    data, model = {"parts": parts, "function": function, "files": files}[kind](place, rows)
    configure(place, data, model)
    return {stage: peak(place, stage) for stage in STAGES[kind]}


def parts(place: Path, rows: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A folder of Parquet files of 5,000 rows."""
    import pyarrow as pa
    from pyarrow import parquet

    (folder := place / "data/large").mkdir()
    draw = np.random.default_rng(0)
    for number, start in enumerate(range(0, rows, 5_000)):
        count = min(5_000, rows - start)
        values = draw.random((count, COLUMNS), np.float32)
        columns = {f"c{n}": values[:, n] for n in range(COLUMNS)}
        columns["label"] = np.arange(count) % 2
        parquet.write_table(pa.table(columns), folder / f"part-{number:04}.parquet")
    table = {"source": f"c{{0..{COLUMNS - 1}}}", "shape": [COLUMNS], "dtype": "float32"}
    return {"file": "large", "inputs": {"table": table}}, TABLE


def function(place: Path, rows: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A function that draws pictures."""
    (place / "data/large.py").write_text(FUNCTION)
    picture = {"source": "picture", "shape": [SIDE, SIDE, 3], "dtype": "uint8"}
    made = {"_target_": "data.large.rows", "count": rows}
    return {"rows": made, "inputs": {"picture": picture}}, PICTURES


def files(place: Path, rows: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A folder of pictures for each class."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(rows):
        folder = place / f"data/large/{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06}.bmp")
    picture = {"source": "path", "shape": [SIDE, SIDE, 3], "dtype": "uint8"}
    picture["image"] = {"mode": "RGB"}
    label = {"label": {"source": "folder", "classes": 2}}
    return {"file": "large", "inputs": {"picture": picture}, "targets": label}, PICTURES


def configure(place: Path, data: dict[str, Any], model: tuple[str, ...]) -> None:
    """Writes params.yaml of these data, one epoch and this model."""
    from pipeline.config.composition import compose_conf, interpolated
    from pipeline.config.yaml_text import dump_yaml

    values = {"name": "large", "file": None, "targets": LABEL, "id": None}
    values |= {"split": {"val": 0.1, "test": 0.1, "seed": 0}} | data
    (place / "conf/data/large.yaml").write_text(dump_yaml(values))
    text = (place / "conf/model/torch_images.yaml").read_text()
    (place / "conf/model/torch_images.yaml").write_text(
        text.replace("targets.way", "targets.label")
    )
    options = ("data=large", *model, "train.epochs=1", "train.batch_size=64")
    composed = interpolated(compose_conf(place / "conf", options))
    (place / "params.yaml").write_text(dump_yaml(composed))


def peak(place: Path, stage: str) -> float:
    """Returns the largest memory of a stage's process in MiB."""
    from pipeline.config.yaml_text import load_yaml

    command = load_yaml((place / "dvc.yaml").read_text(), "dvc.yaml")["stages"][stage][
        "cmd"
    ].split()
    process = subprocess.Popen([sys.executable, *command[1:]], cwd=place, env=environment())
    largest = 0.0
    while process.poll() is None:
        # ru_maxrss starts from the size of the process that forked this one
        largest = max(largest, high_water_mark(process.pid))
        time.sleep(INTERVAL)
    if process.returncode:
        sys.exit(f"{stage} ended with {process.returncode}")
    return largest


def high_water_mark(process: int) -> float:
    """Returns MiB; nothing of a process that has just ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    return int(found.group(1)) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
