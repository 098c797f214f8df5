"""Where the tests' temporary files lie: in memory, if there is enough of it."""

import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path

PLACE = Path("/dev/shm")
ENOUGH = 12 << 30
"""Bytes that must be free: more than a run was seen to take (0.3 GiB after 20 minutes)."""
ROOT = "PYTEST_DEBUG_TEMPROOT"
"""pytest's variable for the folder in which it makes its own."""


NAME = "cmtests-"
"""Of a run's folder, before its process's number; short, as paths of sockets must be."""


def use(environ: MutableMapping[str, str], place: Path = PLACE) -> None:
    """Has pytest make its folder in memory. On a disk, SQLite and PostgreSQL wait for it after each
    change, and most of what a log to MLflow takes is such a wait. Whoever has named a folder keeps
    it, and so does a machine where memory is short or runs no programs that lie in it."""
    if ROOT in environ or not place.is_dir():
        return
    _remove_left(place)
    there = os.statvfs(place)
    if there.f_bavail * there.f_frsize >= ENOUGH and not there.f_flag & os.ST_NOEXEC:
        own = place / f"{NAME}{os.getpid()}"
        own.mkdir()
        own.chmod(0o755)  # PostgreSQL's user must come through it
        environ[ROOT] = str(own)


def _remove_left(place: Path) -> None:
    """Removes what runs have left that are no more: what failed in them, or all, if killed."""
    for folder in place.glob(f"{NAME}*"):
        number = folder.name.removeprefix(NAME)
        if number == str(os.getpid()) or not Path("/proc", number).exists():
            shutil.rmtree(folder, ignore_errors=True)
