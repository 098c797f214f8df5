"""How many batches a step's gradient is of."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Accumulation:
    """A step's rows go through the model in batches as equal as they can be; its gradient is the
    mean over the rows."""

    batches: int = 1
    least: int = 2
    """Rows of a batch, where the step has so many."""

    def batches_of(self, rows: int) -> Iterator[slice]:
        """Yields the batches of a step with this many rows."""
        count = max(1, min(self.batches, rows // self.least))
        if count == 1:
            yield slice(0, rows)
            return
        for numbers in np.array_split(np.arange(rows), count):
            yield slice(int(numbers[0]), int(numbers[-1]) + 1)


WHOLE = Accumulation()
"""All rows at once."""
