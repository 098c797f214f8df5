"""Several processes take the steps that one would, and anybody goes on from what they write."""

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import provenance
from pipeline.frameworks import _pytorch_fsdp
from pipeline.frameworks import pytorch as framework
from pipeline.frameworks._pytorch_ranks import Ranks
from testing.project import ROOT
from testing.shared import shared
from testing.together import (
    CASES,
    LABELS,
    ROWS,
    STEPS,
    STRATEGIES,
    WORLDS,
    begun,
    built,
    cases,
    stepped,
)

ROUNDING = 2e-5
"""Of what ranks come to, against one process."""
LIKE_ONE = [
    (strategy, name)
    for strategy in STRATEGIES
    for name in cases(strategy)
    if name not in ("dropout", "counting")
]
EVERY = [(strategy, name) for strategy in STRATEGIES for name in cases(strategy)]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ranks have left."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "testing.together", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)

    return shared(tmp_path_factory, "together", make)


def said(folder: Path, name: str, strategy: str, world: int) -> dict[str, Any]:
    every = json.loads((folder / f"said-{world}.json").read_text())
    result: dict[str, Any] = every[f"{name}-{strategy}-{world}"]
    return result


def state(folder: Path, case: str = "plain") -> dict[str, np.ndarray]:
    """Returns what one process reads of a folder."""
    training = built(**CASES[case])
    Ranks("ddp").load(training, folder)
    return framework.state(training)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("strategy", "name"), LIKE_ONE)
def test_ranks_come_to_what_one_process_does(
    together: Path, name: str, strategy: str, world: int
) -> None:
    """With batch norm, and in the last step with a rank that has no row."""
    alone = begun(name)
    losses = stepped(framework, alone, STEPS)
    found = said(together, name, strategy, world)
    np.testing.assert_allclose(found["losses"], losses, rtol=ROUNDING)
    reached, expected = (
        state(together / f"{name}-{strategy}-{world}.dcp", name),
        framework.state(alone),
    )
    assert reached.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(reached[key], array, rtol=1e-3, atol=ROUNDING, err_msg=key)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("strategy", "name"), EVERY)
def test_what_goes_on_half_way_comes_to_the_same_bytes(
    together: Path, name: str, strategy: str, world: int
) -> None:
    whole, again = (together / f"{name}-{strategy}-{world}{end}.dcp" for end in ("", ".again"))
    found = said(together, name, strategy, world)
    assert found["losses"] == found["again"]
    assert provenance.digest(whole) == provenance.digest(again)


@pytest.mark.parametrize("name", [n for n in cases("fsdp") if "clip_norm" not in CASES[n]])
def test_both_strategies_come_to_the_same_on_two_ranks(together: Path, name: str) -> None:
    """A norm to clip by is summed in another order where each rank has a part."""
    one, other = (state(together / f"{name}-{each}-2.dcp", name) for each in STRATEGIES)
    assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_three_ranks_wrote_two_go_on_from(together: Path, strategy: str) -> None:
    wrote, read = (
        state(together / f"plain-{strategy}-3.dcp"),
        state(together / f"fewer-{strategy}.dcp"),
    )
    assert {k: v.tobytes() for k, v in wrote.items()} == {k: v.tobytes() for k, v in read.items()}


@pytest.mark.parametrize("world", WORLDS)
def test_a_rank_of_fsdp_holds_its_part_alone(together: Path, world: int) -> None:
    total = sum(each.numel() for each in built().net.parameters())
    assert said(together, "plain", "ddp", world)["held"] == 0
    assert total / world <= said(together, "plain", "fsdp", world)["held"] < total / world + 40


@pytest.mark.parametrize("world", WORLDS)
def test_all_ranks_end_after_the_step_in_which_one_is_asked_to(together: Path, world: int) -> None:
    assert json.loads((together / f"said-{world}.json").read_text())[f"ended-{world}"] == [1]


@pytest.mark.parametrize("name", CASES)
def test_what_a_rank_learns_of_its_rows_alone_is_named(together: Path, name: str) -> None:
    expected = ["seen"] if name == "counting" else []
    assert said(together, name, "ddp", 2)["apart"] == expected


def test_another_nets_folder_is_refused_in_a_line(together: Path) -> None:
    class Other(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)

    with pytest.raises(ValueError, match="of another model: ") as raised:
        Ranks("ddp").load(built(net=Other), together / "plain-ddp-2.dcp")
    assert "\n" not in str(raised.value)


class Acts:
    def __reduce__(self) -> Any:
        return print, ("acted",)


def test_metadata_that_name_something_else_are_not_read(
    tmp_path: Path, together: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (together / "plain-ddp-2.dcp").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / ".metadata").write_bytes(pickle.dumps(Acts()))
    with pytest.raises(ValueError, match=re.escape("names builtins.print")):
        Ranks("ddp").load(built(), tmp_path)
    assert not capsys.readouterr().out


def test_an_optimizer_that_holds_less_than_a_weight_is_refused_before_a_rank_meets() -> None:
    training = built(optimizer=torch.optim.Adafactor)
    framework.step(training, ROWS, LABELS, STEPS[0])
    with pytest.raises(ValueError, match=r"^model.optimizer: Adafactor holds a row_var of shape"):
        _pytorch_fsdp.shard(training)
