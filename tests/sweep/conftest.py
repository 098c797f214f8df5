"""What the engines' sweeps run, and what they are compared with."""

import json
from pathlib import Path

import pytest

from testing.project import Project
from testing.shared import shared
from testing.sweeps import make_quick, one_after_the_other


@pytest.fixture
def quick(tmp_path: Path) -> Project:
    """A project whose stages take no time."""
    return make_quick(tmp_path / "project")


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What four runs come to one after the other, by their lr."""
    made = shared(tmp_path_factory, "alone", one_after_the_other)
    results: dict[str, list[str]] = json.loads((made / "results.json").read_text())
    return results
