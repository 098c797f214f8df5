"""What a rank of FSDP2 holds is well below what a rank of DDP does, of a small net too."""

from argparse import Namespace

from benchmarks.ranks import SMALLER, measured


def test_a_rank_of_fsdp_takes_two_thirds_of_the_memory_at_most() -> None:
    small = Namespace(units=512, layers=32, steps=2)
    ddp, fsdp = (measured(strategy, 2, small).memory for strategy in ("ddp", "fsdp"))
    weights = small.units**2 * small.layers * 4 / 2**30
    assert 3.9 * weights < ddp < 5 * weights
    assert fsdp / ddp <= SMALLER
