"""Whoever changes the number of ranks within a training is told how to go on from it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.train_params import Averaging
from pipeline.run import resume_state
from pipeline.training.other_ranks import tell_how_to_go_on
from testing.training import settings_of


def plan(processes: int, strategy: str = "ddp", lr: float = 0.1) -> resume_state.Plan:
    train = {"lr": lr, "distributed": {"processes": processes, "strategy": strategy}}
    return {"externalParameters": {"stage": "train", "params": {"train": train}}}


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Four ranks have written two of five epochs, and are writing the third."""
    output = tmp_path / "train"
    resume_state.begin(output, plan(4))
    for epoch in (1, 2):
        (output / f"epoch_000{epoch}.dcp").mkdir()
        (output / f"epoch_000{epoch}.dcp/part").write_text(str(epoch))
        resume_state.save(output, output / f"epoch_000{epoch}.dcp")
    (output / "epoch_0003.dcp").mkdir()
    return output


def began_anew(output: Path, now: resume_state.Plan) -> None:
    assert not resume_state.resume(output, now)
    resume_state.begin(output, now)


def said(output: Path, capsys: pytest.CaptureFixture[str], **settings: Any) -> str:
    capsys.readouterr()
    tell_how_to_go_on(output, settings_of(epochs=5, **settings))
    return capsys.readouterr().out


@pytest.mark.parametrize("now", [plan(2), plan(1), plan(4, "fsdp")])
def test_other_ranks_are_told_the_last_whole_epoch_and_those_that_are_left(
    begun: Path, now: resume_state.Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    began_anew(begun, now)
    line = said(begun, capsys)
    start = f"train.start={begun.parent}/.train.aside/epoch_0002.dcp train.start_with=optimizer"
    assert f"python -m pipeline {start} train.epochs=3, " in line and line.count("\n") == 1


def test_of_an_average_the_weights_are_named_that_the_optimizer_is_of(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began_anew(begun, plan(2))
    line = said(begun, capsys, averaging=Averaging(kind="swa"))
    assert "train.start_with=optimizer model.weights_of=trained train.epochs=3, " in line


def test_nothing_is_said_of_another_training_or_once_this_one_has_an_epoch(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not said(begun, capsys)
    began_anew(begun, plan(2))
    assert said(begun, capsys)
    (begun / "epoch_0001.dcp").mkdir()
    assert not said(begun, capsys)


def test_nothing_is_said_where_more_than_ranks_is_another(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began_anew(begun, plan(2, lr=0.2))
    assert not said(begun, capsys)


def test_nothing_is_said_where_no_epoch_is_whole(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for epoch in (1, 2):
        (begun / f"epoch_000{epoch}.dcp/part").write_text("spoiled")
    began_anew(begun, plan(2))
    assert not said(begun, capsys)
