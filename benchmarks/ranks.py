"""`python -m benchmarks.ranks`: what a second process gains a training, and FSDP2 a rank.

A net of equal layers takes the same steps in one process, over two ranks by DDP, and by FSDP2, one
thread each. A row has the seconds of a step, and the most memory that a rank had beyond what it has
after its imports; and the ratio of both to the row above it that it is compared with.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn, optim

from pipeline.frameworks import pytorch as framework
from pipeline.frameworks._pytorch_ranks import Ranks
from pipeline.frameworks.contract import Parts, Term

ROWS = 64
KINDS = {"one process": ("ddp", 1), "two, DDP": ("ddp", 2), "two, FSDP2": ("fsdp", 2)}


class Net(nn.Module):
    """Layers of as many units each."""

    def __init__(self, units: int, layers: int) -> None:
        super().__init__()
        each = (nn.Sequential(nn.Linear(units, units), nn.ReLU()) for _ in range(layers))
        self.layers = nn.ModuleList(each)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks")
    parser.add_argument("--units", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--steps", type=int, default=5)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| training | s a step | ratio | GiB a rank | ratio |\n|---|---|---|---|---|")
    before: tuple[float, float] | None = None
    for name, (strategy, world) in KINDS.items():
        seconds, memory = measured(strategy, world, asked)
        ratios = [f"{a / b:.2f}" for a, b in zip((seconds, memory), before or (), strict=False)]
        one, other = ratios or ["1.00", "1.00"]
        print(f"| {name} | {seconds:.3f} | {one} | {memory:.2f} | {other} |", flush=True)
        before = seconds, memory
    return 0


def measured(strategy: str, world: int, asked: argparse.Namespace) -> tuple[float, float]:
    """Returns the least seconds of a step, and the greatest memory of a rank."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as scratch:
        free.bind(("127.0.0.1", 0))
        fixed = (strategy, world, free.getsockname()[1], asked, Path(scratch))
        free.close()
        forked = multiprocessing.get_context("fork")
        ranks = [forked.Process(target=rank, args=(each, *fixed)) for each in range(world)]
        for each in ranks:
            each.start()
        for each in ranks:
            each.join()
        if any(each.exitcode for each in ranks):
            sys.exit("a rank failed")
        every = [json.loads(path.read_text()) for path in Path(scratch).iterdir()]
    return max(each["seconds"] for each in every), max(each["memory"] for each in every)


def rank(
    number: int, strategy: str, world: int, port: int, asked: argparse.Namespace, folder: Path
) -> None:
    """Takes the steps as one of the ranks."""
    variables = {"RANK": number, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in variables.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    start = peak()
    framework.configure(1)
    framework.seed(0)
    spec = {"dtype": "float32", "shape": [asked.units]}
    parts = Parts(
        net=partial(Net, asked.units, asked.layers),
        loss={"model.loss": Term(loss=nn.MSELoss)},
        optimizer=partial(optim.Adam, lr=1e-4),
        scheduler=None,
        inputs={"x": spec},
        targets={"y": spec},
        outputs={"answer": "answer"},
        device="cpu",
        clip_norm=None,
    )
    training = framework.build(parts)
    rows = np.random.default_rng(0).normal(size=(ROWS, asked.units)).astype(np.float32)
    taken = []
    ranks = Ranks(strategy)
    if world > 1:
        ranks.meet(600)
        ranks.spread(training)
    module = ranks if world > 1 else framework
    for _ in range(asked.steps):
        before = time.perf_counter()
        module.step(training, {"x": rows}, {"y": rows}, np.arange(ROWS))
        taken.append(time.perf_counter() - before)
    said = {"seconds": min(taken), "memory": (peak() - start) / 2**20}
    (folder / f"{number}.json").write_text(json.dumps(said))
    if world > 1:
        ranks.part()


def peak() -> int:
    """Returns the most memory that this process has had, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
