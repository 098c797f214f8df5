"""What a rank of FSDP2 holds is well below what a rank of DDP does, of a small net too."""

import pytest

from benchmarks.ranks import SMALLER, Work, measured


def test_a_rank_of_fsdp_takes_two_thirds_of_the_memory_at_most() -> None:
    small = Work(units=512, layers=32, rows=64)
    ddp, fsdp = (measured(strategy, 2, small, 2).memory for strategy in ("ddp", "fsdp"))
    weights = small.size * 4 / 2**30
    assert 3.9 * weights < ddp < 5 * weights
    assert fsdp / ddp <= SMALLER


def test_a_rank_that_fails_ends_the_others_that_wait_for_it() -> None:
    with pytest.raises(SystemExit, match="a rank failed: (.|\n)*negative dimension"):
        measured("ddp", 2, Work(units=-1, layers=1, rows=1), 1)
