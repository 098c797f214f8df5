"""What tests share is made once in a run of the tests."""

import os
from pathlib import Path

import pytest

from testing.shared import shared


@pytest.mark.parametrize("number", range(4))
def test_a_file_s_tests_run_on_one_worker(
    number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Or each worker would make what its file's tests share."""
    mine = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    folder = shared(tmp_path_factory, "worker", lambda folder: (folder / mine).touch())
    assert [path.name for path in folder.iterdir()] == [mine]


def test_it_is_made_once_and_by_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: list[Path] = []
    for _ in range(2):
        folder = shared(tmp_path_factory, "made once", made.append)
    assert made == [folder]
