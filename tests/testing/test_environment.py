"""What a test leaves in the environment is gone for the next one."""

import os

import pytest

from testing import environment, preloaded
from testing.project import Project

NAME = "SET_BY_A_TEST_IN_ITS_OWN_PROCESS"


def test_a_variable_is_set_by_a_test() -> None:
    os.environ[NAME] = "another"


def test_and_is_gone_for_the_next_which_is_handed_over_again(project: Project) -> None:
    assert NAME not in os.environ
    before = preloaded.refused()
    project.run("python", "-m", "pipeline.trace", "nowhere", check=False)
    assert preloaded.refused() == before
    with environment.put_back():
        os.environ[NAME] = "another"
        project.run("python", "-m", "pipeline.trace", "nowhere", check=False)
    assert [*(preloaded.refused() - before)] == [f"plain: variable {NAME}"]


def test_what_was_changed_or_taken_away_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "before")
    monkeypatch.setenv("TAKEN", "before")
    with environment.put_back():
        os.environ["CHANGED"] = "after"
        del os.environ["TAKEN"]
    assert (os.environ["CHANGED"], os.environ["TAKEN"]) == ("before", "before")
