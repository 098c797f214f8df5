"""history.csv, and the epoch that it says is the best."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.training.history import HISTORY, best_epoch, read_curves, read_history, write_history
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
