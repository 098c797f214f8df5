"""Where the tests' temporary files lie: in memory, if there is enough of it."""

import os
from collections.abc import MutableMapping
from pathlib import Path

PLACE = Path("/dev/shm")
ENOUGH = 12 << 30
"""Bytes that must be free; the files of a whole run took at most half of it."""
ROOT = "PYTEST_DEBUG_TEMPROOT"
"""pytest's own variable for the folder in which it makes its own."""


def use(environ: MutableMapping[str, str], place: Path = PLACE) -> None:
    """Has pytest make its folder in memory. On a disk, SQLite and PostgreSQL wait for it after each
    change, and most of what a log to MLflow takes is such a wait. Whoever has named a folder keeps
    it, and so does a machine where memory is short or runs no programs that lie in it."""
    if ROOT in environ or not place.is_dir():
        return
    there = os.statvfs(place)
    if there.f_bavail * there.f_frsize >= ENOUGH and not there.f_flag & os.ST_NOEXEC:
        environ[ROOT] = str(place)
