"""What several processes cannot train together is refused before any work, in one line."""

import dataclasses

import pytest

from pipeline.config.distributed_params import demand_consistent
from pipeline.config.merge import composed
from pipeline.config.params import Params, TrainParams
from pipeline.config.reading import read
from pipeline.errors import ParamsError
from testing.project import ROOT

TWO = "train.distributed.processes=2"
REFUSED = {
    "train.command": ["train.command='fit --to {output}'", "train.averaging=null"],
    "train.distributed.strategy": ["model=keras_mlp", "train.distributed.strategy=fsdp"],
    "train.device": ["train.device=auto"],
    "train.precision": ["train.precision=float16"],
    "train.adapter": [
        "train.distributed.strategy=fsdp",
        f"train.start={'a' * 64}",
        "train.adapter={r: 2, alpha: 2, dropout: 0, targets: ['*']}",
    ],
    "train.epochs": [f"train.start={'a' * 64}", "train.epochs=0"],
    "train.parent": [f"train.parent={'a' * 64}"],
}


def said(*overrides: str) -> str:
    """Returns what is said of params that compose to these; "" where nothing is."""
    values, _ = composed(ROOT / "conf", overrides)
    try:
        read(Params, values)
        read(TrainParams, values)
    except ParamsError as fault:
        return str(fault)
    return ""


@pytest.mark.parametrize("key", REFUSED)
def test_what_does_not_go_with_several_processes_goes_with_one(key: str) -> None:
    assert said(*REFUSED[key]) == ""
    line = said(TWO, *REFUSED[key])
    assert line.startswith(f"{key}: found ") and "with train.distributed.processes=2" in line
    assert line.endswith("or set train.distributed.processes=1") and "\n" not in line


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.accumulate=4", "train.clip_norm=1", "train.precision=bfloat16"],
        ["model=torch_cnn", "train.distributed.strategy=fsdp", "train.keep=2"],
        ["train.distributed.strategy=fsdp", "train.averaging={kind: swa, decay: null, start: 1}"],
        [f"train.start={'a' * 64}", "train.adapter={r: 2, alpha: 2, dropout: 0, targets: ['*']}"],
        ["train.freeze=[body]", "train.schedule_by=step", f"train.start={'a' * 64}"],
        ["model=keras_mlp", "train.precision=float16", "train.accumulate=2"],
    ],
)
def test_all_else_goes_with_several_processes(overrides: list[str]) -> None:
    assert said(TWO, *overrides) == ""


def test_a_framework_that_has_neither_ranks_nor_replicas_trains_in_one_process() -> None:
    values, _ = composed(ROOT / "conf", [TWO])
    params = read(TrainParams, values)
    with pytest.raises(ParamsError, match="^model.framework: found arithmetic with train.distr"):
        demand_consistent(dataclasses.replace(params.model, framework="arithmetic"), params.train)


def test_keras_replicas_are_of_the_processor() -> None:
    line = said(TWO, "model=keras_mlp", "train.device=cuda")
    assert line.startswith("train.device: found cuda with train.distributed.processes=2")


def test_keras_replicas_are_of_one_machine() -> None:
    line = said(TWO, "model=keras_mlp", "train.distributed.nodes=2")
    assert line.startswith("train.distributed.nodes: found 2 with train.distributed.processes=2")
    assert "fails under MultiWorkerMirroredStrategy" in line and "\n" not in line


def test_each_machine_has_as_many_ranks() -> None:
    assert said(TWO, "train.distributed.nodes=2") == ""
    line = said(TWO, "train.distributed.nodes=3")
    assert line.startswith("train.distributed.nodes: found 3 for train.distributed.processes=2")
