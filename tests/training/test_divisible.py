"""A loss is taken apart over ranks where it is a mean over rows, and refused where it is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.config.distributed_params import Distributed
from pipeline.errors import ParamsError
from pipeline.frameworks import pytorch as framework
from pipeline.training.divisible import demand_divisible
from testing.parts import parts
from testing.training import settings_of
from testing.trial import TWO, described, prepared

THREE = settings_of(distributed=Distributed(processes=3, strategy="ddp", nodes=1, timeout=45))


class Worst(nn.Module):
    """The worst row's."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output, target, reduction="none").max()


class Net(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def demand(folder: Path, loss: Callable[[], Any]) -> None:
    data = prepared(folder / "data", TWO, 2)
    given = {"x": {"dtype": "float32", "shape": [4]}}
    framework.configure(1)
    framework.seed(0)
    wanted = {"label": described(TWO, 2)}
    chosen = parts(Net, loss, torch.optim.SGD, None, given, outputs=("answer",), targets=wanted)
    demand_divisible(framework, framework.build(chosen), data, THREE)


def test_a_mean_over_rows_is_taken_apart(tmp_path: Path) -> None:
    demand(tmp_path, nn.CrossEntropyLoss)


@pytest.mark.parametrize("loss", [Worst, lambda: nn.CrossEntropyLoss(reduction="sum")])
def test_another_loss_is_refused_in_a_line(tmp_path: Path, loss: Callable[[], Any]) -> None:
    with pytest.raises(ParamsError, match="^model.loss: is .* expected a mean over rows") as raised:
        demand(tmp_path, loss)
    assert "\n" not in str(raised.value)
