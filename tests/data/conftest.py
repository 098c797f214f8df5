"""A folder of raw data."""

from pathlib import Path

import pytest

from testing.raw_data import RawData


@pytest.fixture
def raw(tmp_path: Path) -> RawData:
    (tmp_path / "data").mkdir()
    return RawData(tmp_path)
