"""How an adapter is added to a net whose own weights stay as they are."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Adapting:
    """A weight W of a layer answers as W + alpha / r * left @ right, of which no step changes W."""

    r: int
    """Columns of `left`, and rows of `right`."""
    alpha: float
    dropout: float
    """Of what goes into the adapter of a layer, in training; an embedding's has none."""
    targets: Sequence[str]
    """Patterns of names of layers, and of parts that they lie in."""
    new: Sequence[str]
    """Patterns of names of weights, and of parts that they lie in, which are trained as they
    are."""

    @property
    def scale(self) -> float:
        """Returns what the product of the two is multiplied by."""
        return self.alpha / self.r
