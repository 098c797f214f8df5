"""What is made once in a run of the tests, for all of its workers."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns the folder `name`, in which `make` ran to its end once. Read it, do not change it.

    Whoever asks for it first makes it; other workers wait. It stays where it was made, since
    MLflow's stores hold absolute paths.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, ready = base / "shared" / name, base / "shared" / f"{name}.ready"
    folder.parent.mkdir(exist_ok=True)
    with ready.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            ready.touch()
    return folder
