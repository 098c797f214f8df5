"""An epoch's checkpoint must reach what the epoch reached: a model that learnt something into a
state of its own, which no checkpoint holds, does not."""

import math
from collections.abc import Callable

from pipeline.errors import ModelError
from pipeline.training.history import Row

ROUNDING = {"rel_tol": 1e-4, "abs_tol": 1e-6}
"""Of another processor or device, whose sums have another order."""


def demand_recomputed(judged: Callable[[], Row], recorded: Row, exact: bool) -> None:
    """Has the validation split judged anew. Raises ModelError where that is not what was recorded:
    exactly, or but for rounding."""
    for name, value in judged().items():
        before = recorded[name]
        if value != before and (exact or not math.isclose(value, before, **ROUNDING)):
            raise ModelError(
                f"epoch {recorded['epoch']:.0f}: {name} is {value:.6g} with what its checkpoint "
                f"holds, and was {before:.6g} in training: the model has learnt something that no "
                "checkpoint holds; expected it in buffers (register_buffer) or weights "
                "(add_weight), not in plain attributes, buffers with persistent=False or globals"
            )
