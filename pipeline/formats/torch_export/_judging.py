"""What a net's own step draws while its loss is only looked at."""

from collections.abc import Iterator
from contextlib import contextmanager

SEED = 0
"""As the source has it."""


@contextmanager
def judging(own: bool) -> Iterator[None]:
    """Has the loss of a net's own step draw the same numbers each time, and none of the steps'."""
    if not own:
        yield
        return
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        yield
