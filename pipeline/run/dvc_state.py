"""DVC remembers the md5 of a file by its inode, time and size, and is told those of the large files
that a stage has just written, so that it does not read them to name them.

This is the one place that knows where DVC remembers, and as what; a test asks DVC for it.
"""

import os
import sqlite3
from pathlib import Path

from pipeline import written

RUNS_STAGE = "DVC_STAGE"
"""The variable that DVC sets for the command of a stage."""


def tell(output: Path) -> None:
    """Tells the DVC that runs this stage what `written` knows of the files in its output. Where
    there is none, or it cannot be told, DVC reads the files as it always does."""
    known = written.known_md5(output)
    if not known or RUNS_STAGE not in os.environ:
        return
    try:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from dvc_data.hashfile.cache import DiskError, Timeout  # type: ignore[attr-defined]
        from dvc_data.hashfile.hash_info import HashInfo
    except ImportError:  # DVC lies in an environment of its own
        return
    entries = [(str(path.absolute()), HashInfo("md5", md5), None) for path, md5 in known.items()]
    try:
        with Repo() as repo:
            repo.state.save_many(entries, repo.fs)
    except (DvcException, DiskError, Timeout, sqlite3.Error, OSError):  # busy, or another user's
        return
