"""`python -m benchmarks.adopted`: what does it take to adopt a large checkpoint?

A net of this size is saved by torch.save in a clone of this repository's HEAD, and adopted, stage
by stage, without DVC and its cache. The figures are in times the weights, of all processes of a
step: the largest memory of one beyond that of the same with a tiny net, once with the pages of
mapped files, which are the page cache's, and once its own alone; the bytes that they asked the
system to read and to write; and those of files in the clone that they had mapped and looked at, at
once, which the system counts as no reading. With `--adam` the checkpoint has an optimizer's state,
too, of twice the weights, and training goes on from it.
"""

import argparse
import os
import re
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
LOOKS_AT_MAPS = 10
"""Of looks at a process, that one is at its maps, which takes longer."""
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
optimizer: {_target_: torch.optim.%s, lr: "${train.lr}"}
scheduler: null
outputs: [logits]
formats: [torch_export]
"""
SAVE = """
import sys

import torch

from models.large import Large

torch.manual_seed(0)
net = Large(int(sys.argv[1]), int(sys.argv[2]))
content = {"model": net.state_dict()}
if sys.argv[3] == "Adam":
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(4, int(sys.argv[1]))).square().mean().backward()
    optimizer.step()
    content["optimizer"] = optimizer.state_dict()
torch.save(content, "large.pt")
"""
TAKE_IN = """
from pathlib import Path

from pipeline import adopt as command
from pipeline.adopt import adopt, take_in, with_options
from pipeline.config.merge import composed
from pipeline.config.yaml_text import dump_yaml

command.track = lambda path: None
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
    own: float = 0.0
    """The same without pages of files."""
    read: float = 0.0
    """MiB, the page cache's included."""
    written: float = 0.0
    mapped: float = 0.0
    """MiB at most of files of the clone, as far as they were looked at."""
    seconds: float = 0.0
    processor: float = 0.0
    """Seconds."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adopted")
    parser.add_argument("--mib", type=int, default=1024, metavar="N", help="of the weights")
    parser.add_argument("--adam", action="store_true", help="with an optimizer's state")
    arguments = parser.parse_args()
    optimizer = "Adam" if arguments.adam else "SGD"
    layers = max(1, arguments.mib * 2**18 // WIDTH**2)
    weights = layers * (WIDTH + 1) * WIDTH / 2**18
    with tempfile.TemporaryDirectory() as scratch:
        tiny = costs(clone(Path(scratch) / "tiny"), TINY, 1, optimizer)
        large = costs(clone(Path(scratch) / "large"), WIDTH, layers, optimizer)
    print(f"{weights:.0f} MiB of weights\n")
    print("| step | memory beyond | its own | read | written | mapped | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, cost in large.items():
        least = tiny[name]
        beyond = (cost.memory - least.memory, cost.own - least.own)
        moved = (cost.read - least.read, cost.written - least.written, cost.mapped)
        cells = [
            *(f"{each / weights:.2f}" for each in beyond),
            *(f"{each / weights:.1f}" for each in moved),
        ]
        print(f"| {name} | {' | '.join(cells)} | {cost.seconds:.1f} |")
    return 0


def costs(place: Path, width: int, layers: int, optimizer: str) -> dict[str, Cost]:
    """Makes a checkpoint of a net of this size, and returns what each step of adopting it costs."""
    from pipeline.config.yaml_text import load_yaml

    (place / "models/large.py").write_text(MODEL)
    (place / "conf/model/large.yaml").write_text(CONF % (width, layers, optimizer))
    script = [sys.executable, "-c", SAVE, str(width), str(layers), optimizer]
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


def measured(place: Path, command: list[str], **variables: str) -> Cost:
    """Runs a command, and returns what its processes cost."""
    began, cost, looks = time.monotonic(), Cost(), 0
    given = environment() | variables
    process = subprocess.Popen(command, cwd=place, env=given, stdout=subprocess.DEVNULL)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        tree = processes(process.pid)
        cost.memory = max(cost.memory, *map(high_water_mark, tree))
        cost.own = max(cost.own, *map(own_memory, tree))
        if looks % LOOKS_AT_MAPS == 0:
            cost.mapped = max(cost.mapped, sum(mapped(each, place) for each in tree))
        looks += 1
        time.sleep(INTERVAL)
    cost.read, cost.written = moved(process.pid)  # its own, and of those that it waited for
    cost.processor = processor_seconds(process.pid)
    if process.wait():
        sys.exit(f"{' '.join(command)[:200]} ended with {process.returncode}")
    cost.seconds = time.monotonic() - began
    return cost


def processes(process: int) -> list[int]:
    """Returns a process and all that it began."""
    found = [process]
    for each in found:
        try:
            tasks = [*Path(f"/proc/{each}/task").iterdir()]
            children = [(task / "children").read_text() for task in tasks]
        except OSError:
            continue
        found += map(int, " ".join(children).split())
    return found


def own_memory(process: int) -> float:
    """Returns MiB; nothing of a process that has just ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return sum(map(int, re.findall(r"Rss(?:Anon|Shmem):\s*(\d+) kB", text))) / 1024


def mapped(process: int, place: Path) -> float:
    """Returns the MiB of files below a place that a process has mapped and looked at."""
    try:
        lines = Path(f"/proc/{process}/smaps").read_text().splitlines()
    except OSError:
        return 0.0
    total, below = 0, False
    for line in lines:
        if ":" not in line.split(maxsplit=1)[0]:
            below = str(place) in line
        elif below and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total / 1024


def processor_seconds(process: int) -> float:
    """Returns those of a process that has ended, and of those that it waited for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def moved(process: int) -> tuple[float, float]:
    """Returns the MiB that a process asked to read and to write; what is mapped does not count."""
    lines = Path(f"/proc/{process}/io").read_text().split()
    values = dict(zip(lines[::2], lines[1::2], strict=True))
    return int(values["rchar:"]) / 2**20, int(values["wchar:"]) / 2**20


if __name__ == "__main__":
    sys.exit(main())
