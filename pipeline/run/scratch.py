"""A place for temporary files that a killed stage does not leave behind for good."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.files import remove_tree


@contextlib.contextmanager
def scratch_beside(output: Path) -> Iterator[None]:
    """Puts temporary files, those of child processes too, beside the output, under a name that the
    next run knows and empties."""
    directory = output.absolute().with_name(f".{output.name}.scratch")
    remove_tree(directory)
    directory.mkdir(parents=True)
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(directory)
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[1]
        remove_tree(directory)
