"""Temporary files lie beside the output, and none is left."""

import os
import tempfile
from pathlib import Path

from pipeline.run.scratch import scratch_beside


def test_temporary_files_lie_beside_the_output_while_it_is_made(tmp_path: Path) -> None:
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with scratch_beside(tmp_path / "data"):
        handle, name = tempfile.mkstemp()
        os.close(handle)
        assert Path(name).parent == tmp_path / ".data.scratch" == Path(os.environ["TMPDIR"])
    assert list(tmp_path.iterdir()) == []
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".data.scratch/left"
    left.parent.mkdir()
    left.touch()
    with scratch_beside(tmp_path / "data"):
        assert not left.exists()
