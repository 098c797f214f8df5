"""An output has one writer at a time."""

import os
from pathlib import Path

import pytest

from pipeline.errors import IncompleteArtifact
from pipeline.run.lock import exclusive_writer


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    output = tmp_path / "artifacts/data"
    with exclusive_writer(output):
        refusal = f"process {os.getpid()} is writing it"
        with pytest.raises(IncompleteArtifact, match=refusal), exclusive_writer(output):
            pass
    with exclusive_writer(output):
        pass
