"""What is made once in a run of the tests, for all of its workers."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns the folder `name`, in which `make` ran to its end once. Read it, do not change it."""
    return once(common(factory), name, make)


def common(factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that all workers of this run share."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"


def once(base: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Whoever asks for base/name first makes it; others wait. It stays where it was made, since
    MLflow's stores hold absolute paths."""
    folder, ready = base / name, base / f"{name}.ready"
    base.mkdir(parents=True, exist_ok=True)
    with ready.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            ready.touch()
    return folder
