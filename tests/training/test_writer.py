"""What is written beside the training is written to its end, and its error ends the training."""

import threading

import pytest

from pipeline.errors import NotWritten
from pipeline.training.writer import writing


def test_a_job_runs_beside_what_goes_on_and_the_next_waits_for_it():
    going_on, done = threading.Event(), []

    def first():
        assert going_on.wait(10)
        done.append(1)

    with writing() as writer:
        writer.begin(first)
        assert done == []
        going_on.set()
        writer.begin(lambda: done.append(2))
        writer.finish()
        assert done == [1, 2]
        writer.begin(lambda: done.append(3))
    assert done == [1, 2, 3]


def full():
    raise NotWritten("no space left")


@pytest.mark.parametrize("when", ["between steps", "before the next", "at the end"])
def test_what_a_job_raises_ends_the_training(when):
    with pytest.raises(NotWritten, match="no space left"), writing() as writer:
        writer.begin(full)
        if when == "before the next":
            writer.begin(lambda: pytest.fail("it began another"))
        while when == "between steps":
            writer.raise_fault()


def test_a_training_that_is_asked_to_end_waits_until_what_was_begun_is_written():
    asked, done = threading.Event(), []

    def job():
        asked.wait(10)
        done.append("whole")

    with pytest.raises(KeyboardInterrupt), writing() as writer:
        writer.begin(job)
        asked.set()
        raise KeyboardInterrupt
    assert done == ["whole"]
