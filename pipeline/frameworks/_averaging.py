"""How the weights of many steps become the average that a model predicts with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Averaging:
    """An average takes the weights in after each step, from an epoch on: an exponential one a share
    of them, a stochastic one (swa) as many as of each step before."""

    kind: str
    """ema or swa."""
    decay: float
    """Of an ema: what stays of the average at a step."""
    start: int
    """The first epoch whose steps count; before it the average is the weights themselves."""
