"""How far the trained model's own answers move where its numbers are rounded otherwise.

A runtime adds in another order, and where a net divides by the deviation of what hardly varies, or
multiplies layer by layer what nothing holds down, the last digits decide much. How much is
measured: weights and inputs are moved by some roundings, at random. A format that rounds may be off
by as much; a wrong program is further off than that.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.reference.source import Arrays, Source
from pipeline.sandbox.worker.perturbation import MOST_ROUNDING, ROUNDS

PROBES = 3
MOVED_BY = 2.0
"""Units in the last place, of each number."""
TIMES = 2.0
"""What is measured: onnxruntime was off by 0.04 to 0.8 times that, and by 1.4 in a chaotic net."""
MOST_BYTES = 1 << 26
"""Of the weights that are moved, the smallest first: they are held twice."""
LARGE = 10.0
"""As formats.tolerance has it."""

Batch = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
"""Inputs, and the answers to them."""


def of_rows(source: Source, batches: Mapping[str, Batch]) -> dict[str, np.ndarray]:
    """Returns, for each row of a batch, what a tolerance must be at least; 0 where the model
    refuses the moved numbers."""
    generator = np.random.default_rng(0)
    weights = _smallest(source)
    tolerances = {name: np.zeros(_rows(outputs)) for name, (_, outputs) in batches.items()}
    try:
        for _ in range(PROBES):
            moved = {name: rounded(array, generator) for name, array in weights.items()}
            source.framework.set_weights(source.training, moved)
            for name, (inputs, outputs) in batches.items():
                others = {key: _rounded_rows(rows, generator) for key, rows in inputs.items()}
                answers = source.answers_or_refuses(others)
                if not isinstance(answers, str):
                    np.maximum(tolerances[name], _off(answers, outputs), out=tolerances[name])
    finally:
        source.framework.set_weights(source.training, weights)
    return {name: TIMES * each for name, each in tolerances.items()}


def notes(tolerance: float) -> list[str]:
    """Returns what a person should know of a model whose answers hang on rounding."""
    if tolerance <= ROUNDS:
        return []
    text = f"the last digits of its weights and inputs move the answers by {tolerance / TIMES:.2g}"
    if tolerance <= MOST_ROUNDING:
        return [f"{text}, so a format that rounds may be off by {tolerance:.2g}"]
    return [f"{text}, more than any format may be off that rounds: it may have none"]


def rounded(
    array: np.ndarray, generator: np.random.Generator, of_zeros: np.ndarray | float = 0.0
) -> np.ndarray:
    """Returns floats moved by MOVED_BY, each up or down, and zeros as if they had a size, too; what
    counts, names or masks stays."""
    if array.dtype.kind not in "fc" or bool(((array == 0) | (array == 1)).all()):
        return array
    size = np.where(array == 0, of_zeros, np.abs(array))
    step = np.where(generator.random(array.shape) < 0.5, MOVED_BY, -MOVED_BY)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = array + size * step * np.finfo(array.dtype).eps
        return np.asarray(moved.astype(array.dtype))


def _rounded_rows(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns rows; zeros are moved as what others have in their place, for a row of zeros is not
    exactly alike throughout after a sum or two."""
    floats = array.dtype.kind in "fc"
    return rounded(array, generator, np.abs(array).mean(axis=0) if floats else 0.0)


def _smallest(source: Source) -> Arrays:
    """Returns copies of the net's floats, the smallest first, within MOST_BYTES."""
    views = source.framework.views(source.training)
    floats = {n: v for n, v in views if n.startswith("net/") and v.dtype.kind in "fc"}
    copies: Arrays = {}
    held = 0
    for name, array in sorted(floats.items(), key=lambda each: (each[1].nbytes, each[0])):
        held += array.nbytes
        if held > MOST_BYTES:
            break
        copies[name] = array.copy()
    return copies


def _rows(outputs: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(outputs.values()), ()))


def _off(answers: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the largest distance in each row, over a LARGE-th of its largest value where that is
    beyond LARGE."""
    furthest = np.zeros(_rows(outputs))
    for name, before in outputs.items():
        after = answers[name]
        if before.dtype.kind not in "fc" or after.shape != before.shape:
            continue
        wide = np.complex128 if before.dtype.kind == "c" else np.float64
        known = np.isfinite(after) & np.isfinite(before)
        distance = np.abs(np.where(known, after.astype(wide) - before.astype(wide), 0))
        size = np.abs(np.where(known, before, 0))
        largest = np.maximum(1.0, _largest(size) / LARGE)
        furthest = np.maximum(furthest, _largest(distance) / largest)
    return furthest


def _largest(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.reshape(len(values), -1).max(axis=1, initial=0.0))
