"""A log becomes a row for each epoch, whatever it counts."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.config.command_params import CommandHistory
from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.params import Train, TrainParams
from pipeline.config.reading import read
from pipeline.errors import DataError, ParamsError
from pipeline.training.command.history import history, rows, taken_in
from pipeline.training.command.logs.contract import Value
from testing.project import ROOT


@pytest.fixture(scope="module")
def train() -> Train:
    values = interpolated(compose_conf(ROOT / "conf", ["train=command"]))
    return read(TrainParams, values).train


def test_an_epoch_has_the_last_value_of_its_steps_up_to_its_validation():
    values = [Value("loss", 9.0 - step, None, step) for step in range(1, 9)]
    values += [Value("val_loss", 0.5, None, 4), Value("val_loss", 0.25, None, 8)]
    assert rows(values, {}) == [
        {"epoch": 1, "train/loss": 5.0, "val/loss": 0.5},
        {"epoch": 2, "train/loss": 1.0, "val/loss": 0.25},
    ]


def test_steps_are_epochs_where_nothing_is_validated():
    values = [Value("loss", 2.0, None, 0), Value("loss", 1.0, None, 1)]
    assert [row["epoch"] for row in rows(values, {})] == [1, 2]


def test_a_column_of_epochs_says_whose_a_step_is():
    """As Lightning logs to TensorBoard: two validations an epoch."""
    values = [Value("epoch", number, None, step) for step, number in [(5, 0), (9, 0), (19, 1)]]
    values += [Value("val_loss", step / 10, None, step) for step in (5, 9, 19)]
    assert rows(values, {}) == [{"epoch": 1, "val/loss": 0.9}, {"epoch": 2, "val/loss": 1.9}]


def test_parts_of_an_epoch_belong_to_the_one_under_way():
    values = [Value("loss", 1.0, 0.5), Value("loss", 2.0, 1.0), Value("eval_loss", 3.0, 2.0)]
    assert rows(values, {}) == [
        {"epoch": 1, "train/loss": 2.0},
        {"epoch": 2, "val/loss": 3.0},
    ]


def test_what_is_not_finite_was_not_measured():
    assert rows([Value("loss", float("nan"), 1.0), Value("val_loss", 1.0, 1.0)], {}) == [
        {"epoch": 1, "val/loss": 1.0}
    ]


def test_what_is_found_here_stands_in_the_row_of_the_epoch_taken_in():
    logged = [{"epoch": 1.0, "val/loss": 2.0}, {"epoch": 2.0, "train/loss": 1.0, "val/loss": 1.5}]
    assert taken_in(logged, 2, {"val/loss": 1.25}) == [
        {"epoch": 1.0, "val/loss": 2.0},
        {"epoch": 2.0, "train/loss": 1.0, "val/loss": 1.25},
    ]
    beyond = taken_in(logged, 4, {"val/loss": 1.0})
    assert [row["epoch"] for row in beyond] == [1, 2, 3, 4]
    assert beyond[2:] == [{"epoch": 3}, {"epoch": 4, "val/loss": 1.0}]


def test_a_named_log_is_read_and_no_other(train: Train, tmp_path: Path):
    (tmp_path / "a.csv").write_text("epoch,loss\n1,2.0\n")
    (tmp_path / "b.csv").write_text("epoch,score,loss\n1,0.5,1.0\n")
    said = CommandHistory(file="b.csv", columns={"score": "val/score", "loss": None})
    title, found = history(tmp_path, dataclasses.replace(train, history=said))
    assert (title, found) == ("CSV log", [{"epoch": 1, "val/score": 0.5}])


def test_of_several_logs_of_a_kind_the_latest_counts_where_they_meet(train: Train, tmp_path: Path):
    """A training that was killed and went on leaves a log of each run."""
    for number, text in enumerate(["0,3.0\n1,2.0\n", "1,1.5\n2,1.0\n"]):
        (tmp_path / f"version_{number}").mkdir()
        (tmp_path / f"version_{number}/metrics.csv").write_text(f"epoch,val_loss\n{text}")
    found = history(tmp_path, train)[1]
    assert [row["val/loss"] for row in found] == [3.0, 1.5, 1.0]


def test_no_log_is_no_history(train: Train, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("name,size\na,1\n")
    assert history(tmp_path, train) == ("", [])


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("none.csv", "train.history: found none.csv, expected a log below {output}"),
        ("../x.csv", "train.history: found ../x.csv, expected a path below {output}"),
        (
            CommandHistory(columns={"acc": "val/acc"}),
            "train.history.columns: found acc, expected one of loss",
        ),
    ],
)
def test_a_log_or_column_that_is_not_there_is_one_line(
    train: Train, tmp_path: Path, said: object, line: str
):
    (tmp_path / "a.csv").write_text("epoch,loss\n1,2.0\n")
    with pytest.raises(ParamsError) as fault:
        history(tmp_path, dataclasses.replace(train, history=said))
    assert line in str(fault.value)


@pytest.mark.parametrize("name", ["trainer_state.json", "events.out.tfevents.1", "mlflow.db"])
def test_a_log_that_cannot_be_read_is_one_line(train: Train, tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"SQLite format 3\0" + b"\xff" * 200)
    with pytest.raises(DataError) as fault:
        history(tmp_path, train)
    assert str(fault.value).startswith(f"{tmp_path / name}: no ")
    assert "name another log with train.history" in str(fault.value)
    assert "\n" not in str(fault.value)
