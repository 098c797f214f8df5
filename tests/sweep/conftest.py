"""What the engines' sweeps are compared with."""

import json

import pytest

from testing.shared import shared
from testing.sweeps import one_after_the_other


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What eight runs come to one after the other, by their lr."""
    made = shared(tmp_path_factory, "alone", one_after_the_other)
    results: dict[str, list[str]] = json.loads((made / "results.json").read_text())
    return results
