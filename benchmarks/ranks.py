"""`python -m benchmarks.ranks`: what a second process gains a training, and FSDP2 a rank.

A net of equal layers takes the same steps in one process, over two ranks by DDP, and by FSDP2, one
thread each. A row has the seconds of a step and of the processor, and the most memory that a rank
had beyond what a tiny net left it with. Two processes are compared with one on a net that computes
long for its size, and FSDP2's memory with DDP's on a large one.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.distributed import TCPStore
from torch.multiprocessing import start_processes
from torch.multiprocessing.spawn import ProcessException

from pipeline.frameworks import pytorch as framework
from pipeline.frameworks._pytorch_ranks import Ranks
from pipeline.frameworks.contract import Parts, Term
from pipeline.training.ranks.launch import ALONE, LOCAL, VARIABLES
from testing import memory

KINDS = {"one process": ("ddp", 1), "two, DDP": ("ddp", 2), "two, FSDP2": ("fsdp", 2)}
ALONE_OR_TWO, TWO = ("one process", "two, DDP"), ("two, DDP", "two, FSDP2")
FASTER, SMALLER = 1.7, 0.65
"""What is wanted, on two quiet cores, of two processes against one, and of FSDP2's memory."""


@dataclass(frozen=True)
class Work:
    """A net of equal layers, and the rows of a step."""

    units: int
    layers: int
    rows: int

    @property
    def size(self) -> int:
        """Returns its parameters, but for what is added."""
        return self.units**2 * self.layers


TINY = Work(8, 2, 8)
"""Has every library loaded before memory counts."""
LONG, LARGE = Work(512, 8, 4096), Work(4096, 12, 64)


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


@dataclass(frozen=True)
class Cost:
    """What a step costs the rank that it costs most."""

    seconds: float
    processor: float
    memory: float
    """GiB."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks")
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    one, ddp = compared(LONG, steps, ALONE_OR_TWO)
    print(
        f"\ntwo processes are {one.seconds / ddp.seconds:.2f} times as fast as one (by processor "
        f"time {one.processor / ddp.processor:.2f}); wanted: {FASTER} on two quiet cores\n"
    )
    ddp, fsdp = compared(LARGE, steps, TWO)
    print(
        f"\nFSDP2 takes {fsdp.memory / ddp.memory:.2f} of DDP's memory a rank ({fsdp.memory:.3f} "
        f"of {ddp.memory:.3f} GiB); wanted: {SMALLER}"
    )
    return 0


def compared(work: Work, steps: int, names: tuple[str, ...]) -> list[Cost]:
    """Prints and returns what each of these kinds costs."""
    print(f"{work.size / 1e6:.0f}M parameters, Adam, {work.rows} rows a step\n")
    print("| training | s a step | s of a processor | GiB a rank |\n|---|---|---|---|")
    costs = []
    for name in names:
        cost = measured(*KINDS[name], work, steps)
        costs.append(cost)
        shown = (f"{cost.seconds:.3f}", f"{cost.processor:.3f}", f"{cost.memory:.3f}")
        print(f"| {name} | {' | '.join(shown)} |", flush=True)
    return costs


def measured(strategy: str, world: int, work: Work, steps: int) -> Cost:
    """Returns the least cost of a step, and the greatest memory of a rank."""
    os.environ |= {**VARIABLES, **ALONE}
    store = TCPStore(LOCAL, 0, is_master=True, wait_for_workers=False)  # at a port that it holds
    with tempfile.TemporaryDirectory() as scratch:
        fixed = (strategy, world, store.port, work, steps, Path(scratch))
        try:
            start_processes(rank, fixed, nprocs=world)  # the first that fails ends all
        except ProcessException as fault:
            sys.exit(f"a rank failed: {fault}")
        every = [json.loads(path.read_text()) for path in Path(scratch).iterdir()]
    return Cost(**{name: max(each[name] for each in every) for name in every[0]})


def rank(
    number: int, strategy: str, world: int, port: int, work: Work, steps: int, folder: Path
) -> None:
    """Takes the steps as one of the ranks."""
    warnings.simplefilter("ignore")
    variables = {"RANK": number, "WORLD_SIZE": world, "MASTER_ADDR": LOCAL, "MASTER_PORT": port}
    variables |= {"TORCHELASTIC_USE_AGENT_STORE": True}  # as under torchrun, which has the store
    os.environ |= {name: str(value) for name, value in variables.items()}
    framework.configure(1)
    ranks = Ranks(strategy)
    if world > 1:
        ranks.meet(600)
    module = ranks if world > 1 else framework
    taken(module, TINY, 1)
    before = memory.resident()
    memory.count_peak()
    seconds, processor = taken(module, work, steps)
    cost = Cost(seconds, processor, (memory.peak() - before) / 2**30)
    (folder / f"{number}.json").write_text(json.dumps(asdict(cost)))
    if world > 1:
        ranks.wait()
        ranks.part()


def taken(module: Any, work: Work, steps: int) -> tuple[float, float]:
    """Takes the steps; returns the least seconds of one, and of its processor."""
    framework.seed(0)
    spec = {"dtype": "float32", "shape": [work.units]}
    parts = Parts(
        net=partial(Net, work.units, work.layers),
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
    rows = np.random.default_rng(0).normal(size=(work.rows, work.units)).astype(np.float32)
    if isinstance(module, Ranks):
        module.spread(training)
    costs = []
    for _ in range(steps):
        before = time.perf_counter(), time.process_time()
        module.step(training, {"x": rows}, {"y": rows}, np.arange(work.rows))
        costs.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    return min(each for each, _ in costs), min(each for _, each in costs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
