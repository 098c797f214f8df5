"""`python -m benchmarks.adopted`: what does it take to adopt a large checkpoint?

A net of this size is saved by torch.save in a clone of this repository's HEAD, and adopted, stage
by stage, without DVC. The figures are in times the weights: the largest memory of each process
beyond that of the same with a tiny net, and the bytes that it asked the system to read and to
write, DVC's own copy for its cache among them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reproduced import clone, environment
from benchmarks.rows import INTERVAL, high_water_mark

STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify")
WIDTH, TINY = 4096, 8
MODEL = """
from torch import Tensor, nn


class Large(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.layers:
            values = values + layer(values).tanh()
        return values[:, :2]
"""
CONF = """
name: large
framework: pytorch
net: {_target_: models.large.Large, width: %d, layers: %d}
loss: {_target_: torch.nn.CrossEntropyLoss}
optimizer: {_target_: torch.optim.SGD, lr: "${train.lr}"}
scheduler: null
outputs: [logits]
formats: [torch_export]
"""
SAVE = """
import sys

import torch

from models.large import Large

torch.manual_seed(0)
torch.save(Large(int(sys.argv[1]), int(sys.argv[2])).state_dict(), "large.pt")
"""
TAKE_IN = """
from pathlib import Path

from pipeline.adopt import adopt, take_in, with_options
from pipeline.config.merge import composed
from pipeline.config.reading import dump_yaml

overrides = with_options(OVERRIDES)
values, _ = composed(Path("conf"), overrides)
adopt(values, overrides, *take_in(Path("large.pt")))
Path("params.yaml").write_text(dump_yaml(values))
"""


@dataclass
class Cost:
    """Of a process."""

    memory: float = 0.0
    """MiB at most."""
    read: float = 0.0
    """MiB, the page cache's included."""
    written: float = 0.0
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adopted")
    parser.add_argument("--mib", type=int, default=1024, metavar="N", help="of the weights")
    arguments = parser.parse_args()
    layers = max(1, arguments.mib * 2**18 // WIDTH**2)
    weights = layers * (WIDTH + 1) * WIDTH / 2**18
    with tempfile.TemporaryDirectory() as scratch:
        tiny = costs(clone(Path(scratch) / "tiny"), TINY, 1)
        large = costs(clone(Path(scratch) / "large"), WIDTH, layers)
    print(f"{weights:.0f} MiB of weights\n")
    print("| step | memory beyond | read | written | seconds |\n|---|---|---|---|---|")
    for name, cost in large.items():
        beyond = (cost.memory - tiny[name].memory) / weights
        moved = f"{cost.read / weights:.1f} | {cost.written / weights:.1f}"
        print(f"| {name} | {beyond:.2f} | {moved} | {cost.seconds:.1f} |")
    return 0


def costs(place: Path, width: int, layers: int) -> dict[str, Cost]:
    """Makes a checkpoint of a net of this size, and returns what each step of adopting it costs."""
    from pipeline.config.reading import load_yaml

    (place / "models/large.py").write_text(MODEL)
    (place / "conf/model/large.yaml").write_text(CONF % (width, layers))
    script = [sys.executable, "-c", SAVE, str(width), str(layers)]
    subprocess.run(script, cwd=place, env=environment(), check=True)
    shape = f"{{source: values, shape: [{width}], dtype: float32}}"
    overrides = [
        *("model=large", "data=examples", f"+data.inputs.values={shape}"),
        *("+data.targets.label={source: label, classes: 2}", "export.attempt=[]"),
        *("checkpoint.many=8", "data.rows.count=32"),
    ]
    take_in = TAKE_IN.replace("OVERRIDES", repr(overrides))
    result = {"adopt": measured(place, [sys.executable, "-c", take_in])}
    stages = load_yaml((place / "dvc.yaml").read_text(), "dvc.yaml")["stages"]
    for stage in STAGES:
        command = stages[stage]["cmd"].split()
        result[stage] = measured(place, [sys.executable, *command[1:]])
    return result


def measured(place: Path, command: list[str]) -> Cost:
    """Runs a command, and returns what its own process cost."""
    began, cost = time.monotonic(), Cost()
    process = subprocess.Popen(command, cwd=place, env=environment(), stdout=subprocess.DEVNULL)
    while process.poll() is None:
        cost.memory = max(cost.memory, high_water_mark(process.pid))
        cost.read, cost.written = moved(process.pid) or (cost.read, cost.written)
        time.sleep(INTERVAL)
    if process.returncode:
        sys.exit(f"{' '.join(command)[:200]} ended with {process.returncode}")
    cost.seconds = time.monotonic() - began
    return cost


def moved(process: int) -> tuple[float, float] | None:
    """Returns the MiB that a process asked to read and to write; what is mapped does not count."""
    try:
        lines = Path(f"/proc/{process}/io").read_text().split()
    except OSError:
        return None
    values = dict(zip(lines[::2], lines[1::2], strict=True))
    return (int(values["rchar:"]) / 2**20, int(values["wchar:"]) / 2**20) if values else None


if __name__ == "__main__":
    sys.exit(main())
