"""The graph's first steps are compared with the source's before it stands."""

import numpy as np

from .._examples import Examples
from ..contract import Arrays
from ._source import CHECKED_ROWS, EagerStep
from ._trainer import Trainer

RTOL = 1e-3  # by how much they may differ, of a tensor's largest value
RTOL_ALIKE = 1e-5  # of the largest value of all tensors of the same kind
ATOL = 1e-6  # of weights and loss


def check_steps(
    trainer: Trainer,
    given: Examples,
    expected: list[EagerStep],
    largest_rate: float,
) -> None:
    """Raises ValueError where the graph's steps are not the source's.

    Where a gradient is nothing but rounding Adam may go the other way, and so twice the learning
    rate apart.
    """
    for n, (rows, eager) in enumerate(zip(CHECKED_ROWS, expected, strict=True), 1):
        batch, truths = (given.of(kind).resized(rows) for kind in ("input", "target"))
        loss = trainer.step(_by_name(batch), _by_name(truths))
        state = trainer.state() | {"loss": loss}
        after = eager.state | {"loss": np.asarray(eager.loss)}
        if set(state) != set(after):
            raise ValueError(f"onnx_train: the state differs in {sorted(set(state) ^ set(after))}")
        adam = any(name.endswith("/exp_avg") for name in after)
        for name, array in after.items():
            most = _tolerance(name, after)
            most += 2 * n * largest_rate if adam and name.startswith("net/") else 0
            if not np.allclose(state[name], array, 0, most):
                raise ValueError(
                    f"onnx_train: after step {n} onnxruntime's {name} differs from PyTorch's by "
                    f"{np.abs(state[name] - array).max():.3g}"
                )


def _by_name(arrays: Arrays) -> Arrays:
    return {name.partition(".")[2]: each for name, each in arrays.items()}


def _tolerance(name: str, after: Arrays) -> float:
    """Returns by how much rounding may move a tensor; the optimizer's are alike by their slot."""
    slot = name.rpartition("/")[2] if name.startswith("optimizer/") else name
    alike = [each for other, each in after.items() if other.endswith(slot)]
    of_itself = RTOL * _largest([after[name]])
    return of_itself + RTOL_ALIKE * _largest(alike) + ATOL * (slot == name)


def _largest(arrays: list[np.ndarray]) -> float:
    return max(float(np.abs(each).max(initial=0)) for each in arrays)
