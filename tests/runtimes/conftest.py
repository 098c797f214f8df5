"""Small models that programs are asked about: one that predicts, and one that trains on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from testing import linear, runtimes
from testing import trainable as made
from testing.linear import Linear


@pytest.fixture
def model(tmp_path: Path, request: pytest.FixtureRequest) -> Linear:
    """Returns a complete model that carries the program of the runtime which the test's module
    names."""
    name = request.module.NAME
    runtimes.demand(name)
    model = linear.make(tmp_path / "model")
    runtimes.carry(model, name)
    return model


@pytest.fixture(scope="session")
def made_trainable(tmp_path_factory: pytest.TempPathFactory) -> Linear:
    return made.make(tmp_path_factory.mktemp("trainable") / "model")


@pytest.fixture
def trainable(made_trainable: Linear, tmp_path: Path) -> Callable[[], Linear]:
    """Returns what gives a copy: a runtime that is not here skips a test before it is made."""
    return lambda: Linear(Path(shutil.copytree(made_trainable.root, tmp_path / "trainable")))
