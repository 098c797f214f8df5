"""Numbers that a step draws from Python's and numpy's own generators would be constants in every
program that is made of it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def demand_none(what: str, instead: str) -> Iterator[None]:
    """Raises ValueError, one line, where what runs within draws from them."""
    before = _states()
    yield
    after = _states()
    if drawn := [module for module, state in before.items() if state != after[module]]:
        raise ValueError(
            f"model.net: its {what} draws from {drawn[0]}, which the program that trains on would "
            f"hold as a constant; draw with {instead}"
        )


def _states() -> dict[str, Any]:
    state = np.random.get_state(legacy=False)["state"]
    of_numpy = state["key"].tobytes(), state["pos"]
    return {"random": random.getstate(), "numpy.random": of_numpy}
