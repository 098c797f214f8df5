"""Run as `python -m testing.together FOLDER`: trainings over two and three ranks, by DDP and FSDP2,
leave what they come to in FOLDER/<case>-<strategy>-<ranks>.dcp, and beside it what a training makes
of it that goes on from half-way; FOLDER/said-<ranks>.json has the rest."""

import json
import multiprocessing
import os
import socket
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from pipeline.frameworks import pytorch as framework
from pipeline.frameworks._pytorch_ranks import Ranks
from pipeline.frameworks.contract import Accumulation, Adapting, Averaging, Parts, Term

RANDOM = np.random.default_rng(0)
ROWS = {"x": RANDOM.normal(1, 2, size=(64, 4)).astype(np.float32)}
LABELS = {"label": RANDOM.integers(0, 3, 64)}
STEPS = [np.arange(16), np.arange(16, 23), np.arange(23, 39), np.arange(39, 41)]
"""The last has fewer rows than there are ranks."""
STRATEGIES, WORLDS = ("ddp", "fsdp"), (2, 3)
BEGUN = ("adagrad", "begun")
"""Cases whose optimizer has a state before the ranks share it."""
DDP_ALONE = ("adapter",)
"""Cases that no rank has a part of."""


class Net(nn.Module):
    """Layers in a list, batch norm among them, and a weight that no step uses."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(2))
        self.dropout, self.last, self.idle = nn.Dropout(dropout), nn.Linear(8, 3), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        values = torch.relu(self.norm(self.first(x)))
        for layer in self.layers:
            values = values + layer(values)
        return self.last(self.dropout(values))


class Own(Net):
    """A net with a step of its own."""

    def training_step(self, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(self(batch["x"]), batch["label"])


class Counting(Net):
    """A net that learns of the rows that it sees, in a way that nobody joins."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += x.detach().sum(0)
        return super().forward(x)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulation": Accumulation(3), "clip_norm": 0.1},
    "frozen": {"freeze": ["first", "norm"], "clip_norm": 0.1},
    "by step": {
        "scheduler": lambda made: optim.lr_scheduler.StepLR(made, 1),
        "schedule_by": "step",
    },
    "own step": {"net": Own, "loss": None},
    "dropout": {"net": partial(Net, 0.5), "optimizer": partial(optim.AdamW, lr=0.01)},
    "adagrad": {"optimizer": partial(optim.Adagrad, lr=0.05, initial_accumulator_value=1.0)},
    "begun": {"optimizer": partial(optim.Adam, lr=0.01, eps=0.1)},
    "average": {"averaging": Averaging(kind="ema", decay=0.5, start=1)},
    "adapter": {"adapter": Adapting(2, 4.0, 0.0, ("first", "layers"), ("last",))},
    "counting": {"net": Counting},
}


def cases(strategy: str) -> list[str]:
    """Returns the names of those that this strategy trains."""
    return [name for name in CASES if strategy == "ddp" or name not in DDP_ALONE]


def built(**options: Any) -> framework.Training:
    """Returns a training before its first step, always the same."""
    framework.configure(1)
    framework.seed(1)
    given: dict[str, Any] = {
        "net": Net,
        "loss": {"model.loss": Term(loss=nn.CrossEntropyLoss)},
        "optimizer": partial(optim.SGD, lr=0.1, momentum=0.9),
        "scheduler": None,
        "inputs": {"x": {"dtype": "float32", "shape": [4]}},
        "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3}},
        "outputs": {"logits": "logits"},
        "device": "cpu",
        "clip_norm": None,
    }
    return framework.build(Parts(**{**given, **options}))


def begun(name: str) -> framework.Training:
    """Returns a case's training as it is when the ranks come to share it."""
    training = built(**CASES[name])
    if name in BEGUN:
        framework.step(training, ROWS, LABELS, np.arange(8))
    return training


def stepped(module: Any, training: Any, steps: list[np.ndarray]) -> list[float]:
    """Takes the steps, each with numbers of its own; returns their losses."""
    losses = []
    for rows in steps:
        module.seed(int(rows[0]), training)
        losses.append(float(module.step(training, ROWS, LABELS, rows)))
    return losses


def case(folder: Path, name: str, strategy: str, meeting: Ranks) -> dict[str, Any]:
    """Trains, saves half-way and at the end, and goes on from there anew."""
    place = f"{name}-{strategy}-{meeting.world}"
    ranks = Ranks(strategy)
    ranks._writing = meeting._writing
    training = begun(name)
    ranks.spread(training)
    losses = stepped(ranks, training, STEPS[:2])
    ranks.save(training, folder / f"{place}.half.dcp")
    losses += stepped(ranks, training, STEPS[2:])
    ranks.save(training, folder / f"{place}.dcp")
    resumed = built(**CASES[name])
    ranks.spread(resumed)
    ranks.load(resumed, folder / f"{place}.half.dcp")
    again = losses[:2] + stepped(ranks, resumed, STEPS[2:])
    ranks.save(resumed, folder / f"{place}.again.dcp")
    shards = [each for each in resumed.net.parameters() if hasattr(each, "to_local")]
    held = sum(each.to_local().numel() for each in shards)
    apart = ranks.buffers_apart(training)
    return {"losses": losses, "again": again, "held": held, "apart": apart}


def ended(ranks: Ranks) -> list[int]:
    """Returns in which steps this rank was told to end; the last one was asked to in the second."""
    training, told, taken = built(), [], []
    ranks.spread(training)
    ranks.asked = lambda: ranks.rank == ranks.world - 1 and len(taken) == 1
    ranks.end = lambda: told.append(len(taken))
    for rows in STEPS:
        ranks.step(training, ROWS, LABELS, rows)
        taken.append(rows)
    return told


def rank(folder: Path, number: int, world: int, port: int) -> None:
    variables = {"RANK": number, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in variables.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    meeting, said = Ranks("ddp"), {}
    meeting.meet(60)
    for strategy in STRATEGIES:
        for name in cases(strategy):
            said[f"{name}-{strategy}-{world}"] = case(folder, name, strategy, meeting)
    said[f"ended-{world}"] = ended(meeting)
    if world == WORLDS[0]:
        for strategy in STRATEGIES:
            training = built()
            ranks = Ranks(strategy)
            ranks._writing = meeting._writing
            ranks.spread(training)
            ranks.load(training, folder / f"plain-{strategy}-{WORLDS[1]}.dcp")
            ranks.save(training, folder / f"fewer-{strategy}.dcp")
    if number == 0:
        (folder / f"said-{world}.json").write_text(json.dumps(said))
    meeting.part()


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    forked = multiprocessing.get_context("fork")
    for world in reversed(WORLDS):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = [forked.Process(target=rank, args=(folder, n, world, port)) for n in range(world)]
        for each in started:
            each.start()
        for each in started:
            each.join()
        if code := max(each.exitcode or 0 for each in started):
            sys.exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
