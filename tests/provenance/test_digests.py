"""The sha256 of what lies at a path is that of its bytes now."""

import hashlib
from pathlib import Path

from pipeline.provenance import digests


def test_a_large_file_is_digested_anew_once_it_was_written(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(digests.LARGE)
    before = digests.digest(large)
    assert digests.digest(large) == before
    with large.open("r+b") as file:
        file.seek(1000)
        file.write(b"\1")
    now = digests.digest(large)
    assert now != before
    assert now == hashlib.sha256(large.read_bytes()).hexdigest()
