"""history.csv, and the epoch that it says is the best."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.training.history import (
    HISTORY,
    best_epoch,
    read_curves,
    read_history,
    retained,
    write_history,
)
from testing.project import Project


def test_the_best_epoch_is_the_earliest_of_equals():
    history = [{"epoch": i + 1, "val/loss": v} for i, v in enumerate([3.0, 1.0, 2.0, 1.0])]
    assert best_epoch(history, "val/loss", "min", "checkpoint.metric") == 2
    assert best_epoch(history, "val/loss", "max", "checkpoint.metric") == 1
    with pytest.raises(ParamsError, match="checkpoint.metric: found val/f1, expected .*val/loss"):
        best_epoch(history, "val/f1", "max", "checkpoint.metric")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_history_reads_back_as_the_same_floats(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("history") / "history.csv"
    history = [{"epoch": i + 1.0, "val/loss": value} for i, value in enumerate(values)]
    write_history(path, history)
    assert read_history(path) == history


def test_a_cell_that_is_empty_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / HISTORY
    path.write_text("epoch,train/loss,val/accuracy\n1,2.5,\n2,1.5,0.75\n")
    assert read_curves(path) == {"train/loss": [(1, 2.5), (2, 1.5)], "val/accuracy": [(2, 0.75)]}


def test_the_checkpoint_keeps_the_history(trained: Project) -> None:
    train, checkpoint = (
        trained.root / f"artifacts/{name}" / HISTORY for name in ("train", "checkpoint")
    )
    assert checkpoint.read_bytes() == train.read_bytes()


def rows(**columns):
    return [
        {"epoch": n + 1, **dict(zip(columns, values, strict=True))}
        for n, values in enumerate(zip(*columns.values(), strict=True))
    ]


def test_the_last_epochs_stay_and_the_best_of_every_column_in_either_direction():
    history = rows(loss=[5, 3, 1, 2, 2, 2], accuracy=[0.1, 0.9, 0.5, 0.5, 0.9, 0.5])
    assert retained(history, 1) == [1, 2, 3, 6]
    assert retained(history, 3) == [1, 2, 3, 4, 5, 6]
    assert retained(history, 9) == retained(history, None) == [1, 2, 3, 4, 5, 6]
    assert retained([], 1) == []


values = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(values, st.integers(1, 4))
def test_whatever_stays_in_the_end_has_stayed_all_along_and_any_choice_is_there(losses, keep):
    history = rows(loss=losses)
    last = retained(history, keep)
    for epoch in range(1, len(history) + 1):
        assert {each for each in last if each <= epoch} <= {*retained(history[:epoch], keep)}
    for mode in ("min", "max"):
        assert best_epoch(history, "loss", mode, "checkpoint.metric") in last
