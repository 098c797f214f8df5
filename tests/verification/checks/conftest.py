"""One complete model to sabotage, and the answers it gave in good health."""

import shutil
from pathlib import Path

import pytest

from pipeline.verification.evidence import Evidence
from testing.linear import Linear, make


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Linear:
    """Read it, do not change it."""
    return make(tmp_path_factory.mktemp("linear"))


@pytest.fixture(scope="session")
def evidence(healthy: Linear) -> Evidence:
    """Answered once, in a real process."""
    return healthy.evidence()


@pytest.fixture
def linear(healthy: Linear, tmp_path: Path, preloaded_python: None) -> Linear:
    """A copy to spoil."""
    return Linear(Path(shutil.copytree(healthy.root, tmp_path / "linear")))
