"""What ranks wrote is read shard by shard: nobody has it twice."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch import nn, optim

from pipeline.frameworks import _pytorch_shards
from pipeline.frameworks import pytorch as framework
from pipeline.frameworks._pytorch_ranks import Ranks
from testing.memory import count_peak, peak, resident
from testing.together import LABELS, ROWS, built

UNITS, LAYERS = 1024, 16
WEIGHTS = UNITS * UNITS * LAYERS * 4
"""Bytes."""


class Wide(nn.Sequential):
    def __init__(self) -> None:
        inner = [nn.Linear(UNITS, UNITS) for _ in range(LAYERS)]
        super().__init__(nn.Linear(4, UNITS), *inner, nn.Linear(UNITS, 3))

    def forward(self, x):  # type: ignore[no-untyped-def]
        return super().forward(x)


WIDE = {"net": Wide, "optimizer": partial(optim.Adam, lr=0.01)}


def written(folder: Path) -> Path:
    training = built(**WIDE)
    framework.step(training, ROWS, LABELS, np.arange(8))
    Ranks("fsdp").save(training, folder / "epoch.dcp")
    return folder / "epoch.dcp"


def taken(path: Path) -> float:
    """Returns how much memory reading takes at most, in times the weights'."""
    training = built(**WIDE)
    before = resident()
    count_peak()
    Ranks("fsdp").load(training, path)
    assert len(training.optimizer.state) == 2 * (LAYERS + 2)
    return (peak() - before) / WEIGHTS


def test_reading_takes_what_the_optimizer_holds_and_a_few_shards(tmp_path: Path) -> None:
    assert taken(written(tmp_path)) < 2.4


def test_reading_everything_first_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _pytorch_shards._Reader.read_data

    def hoarding(self, plan, planner):  # type: ignore[no-untyped-def]
        every = [each.read_bytes() for each in Path(self.path).iterdir()]
        result = read(self, plan, planner)
        assert every
        return result

    path = written(tmp_path)
    monkeypatch.setattr(_pytorch_shards._Reader, "read_data", hoarding)
    assert taken(path) > 3
