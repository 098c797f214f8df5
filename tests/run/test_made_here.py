"""A machine remembers when it trained what, and no artifact does."""

import json
import time
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.run.made_here import MADE_HERE, Clock, Training, is_made_here, training_of
from testing.project import Project


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "history.csv"
    path.write_text("epoch\n1\n")
    return path


def grown(history: Path) -> None:
    history.write_text(history.read_text() + "2\n")


def test_a_history_that_was_not_marked_is_of_another_machine(history: Path) -> None:
    assert training_of(history) is None and not is_made_here(history)


def test_a_mark_follows_the_history_from_epoch_to_epoch(history: Path) -> None:
    before = time.time() * 1000
    history.unlink()
    clock = Clock(history, "cpu")
    history.write_text("epoch\n1\n")
    clock.mark()
    grown(history)
    time.sleep(0.02)
    clock.mark()
    (mark,) = MADE_HERE.iterdir()
    assert mark.name == provenance.digest(history)
    training = training_of(history)
    assert training and is_made_here(history)
    assert before - 1 <= training.began <= training.ended <= time.time() * 1000 + 1
    assert 0.02 <= training.seconds < 10
    assert training.ended == training.began + round(1000 * training.seconds)


def test_an_interrupted_training_keeps_its_beginning_and_adds_its_time(history: Path) -> None:
    Clock(history, "cpu").mark()
    mark = MADE_HERE / provenance.digest(history)
    mark.write_text(json.dumps({"began": 5000, "seconds": 60.0, "device": "cpu"}))
    clock = Clock(history, "cpu")
    grown(history)
    clock.mark()
    training = training_of(history)
    assert training and training.began == 5000 and 60 <= training.seconds < 70
    assert not mark.exists()


def test_another_device_s_sums_are_not_this_processor_s(history: Path) -> None:
    Clock(history, "cuda").mark()
    assert training_of(history) and not is_made_here(history)


def test_a_mark_of_an_older_version_has_no_time_and_counts(history: Path) -> None:
    MADE_HERE.mkdir(parents=True)
    (MADE_HERE / provenance.digest(history)).touch()
    assert training_of(history) is None and is_made_here(history)


def test_train_marks_what_it_made(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.root)
    training = training_of(Path("artifacts/train/history.csv"))
    assert isinstance(training, Training) and training.device == "cpu"
    assert 0 < training.seconds < 600 and training.ended <= time.time() * 1000
