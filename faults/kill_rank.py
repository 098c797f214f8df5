"""SIGKILL at random times in one of two ranks of `train` (DDP and FSDP2), then `dvc repro`."""

import re
from functools import partial
from pathlib import Path

import psutil

from faults import _ground as ground
from faults import _training as training
from faults.tally import Tally, generator

REPEATS = 20
SHORT = 2
MUST = (
    "the command ends within a minute with a line that names the rank, no rank is left, and the "
    "final weights are bitwise those of an undisturbed run; at most one epoch is repeated"
)
RANK = "pipeline.training.ranks.worker"
# Dropout, batch norm, AdamW and a schedule: everything that has a state.
PARAMS = ("model=torch_cnn", "train.epochs=6", "train.batch_size=256", "checkpoint.many=16")
LINE = re.compile(r"^error: train: rank (\d) of 2 on \S+ was killed by SIGKILL; .*", re.MULTILINE)
LONGEST = 60
"""Seconds until the command has ended."""


def run(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    for strategy, many in (("ddp", (repeats + 1) // 2), ("fsdp", repeats)):
        _over(tally, strategy, scratch / strategy, many, fresh=repeats > SHORT)
    return tally


def _over(tally: Tally, strategy: str, scratch: Path, until: int, fresh: bool) -> None:
    """Kills ranks until so many were tried in all."""
    before = tally.tried
    chosen = ("train.distributed.processes=2", f"train.distributed.strategy={strategy}")
    ours = training.setting(
        scratch, *PARAMS, *chosen, checkpoint=True, module=RANK, processes=2, fresh=fresh
    )
    look = partial(_ended, tally, strategy)
    training.ends_the_same(tally, ours, scratch, generator(f"{__name__} {strategy}"), until, look)
    tally.count(f"by {strategy}", tally.tried - before)


def _ended(
    tally: Tally, strategy: str, running: ground.Running, _: psutil.Process, seconds: float
) -> None:
    """Holds the command to what must come of a kill."""
    tally.longest("longest until the command ended (s)", seconds)
    tally.demand(seconds < LONGEST, f"{strategy}: it ended {seconds:.0f} s after the kill")
    lines = LINE.findall(running.said)
    tally.demand(len(lines) == 1, f"{strategy}: no line names the rank: {running.said[-300:]}")
    for rank in lines:
        tally.count(f"rank {rank} killed")
    left = ground.left(running.within, RANK)
    tally.demand(not left, f"{strategy}: ranks are left: {left}")
