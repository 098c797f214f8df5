"""How far a value may be off its baseline."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """A value may differ from its baseline by atol + rtol * |baseline|."""

    atol: float
    rtol: float
    follows_rounding: bool = False
    """A model whose own answers hang on rounding is held to that: schema.json has how much."""


EXACT = Tolerance(atol=0.0, rtol=0.0)
LARGE = 10.0
"""Answers beyond it are sums of large numbers, and those near 0 among them are rounded as these."""


def widened(declared: Tolerance, rounding: float) -> Tolerance:
    """Returns the tolerance for a model whose answers hang on rounding as its schema.json has
    it."""
    if not declared.follows_rounding:
        return declared
    return Tolerance(atol=max(declared.atol, rounding), rtol=max(declared.rtol, rounding))


def allowed(expected: np.ndarray, atol: float, rtol: float) -> np.ndarray:
    """Returns how far each value may be off: atol + rtol * |value|, and atol grows with the row's
    largest value where that is beyond LARGE. What is not finite counts as 0."""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    size = np.where(np.isfinite(expected), np.abs(expected.astype(wide)), 0.0)
    rows = tuple(range(1, size.ndim))
    largest = size.max(axis=rows, keepdims=True, initial=0.0) if rows else np.zeros_like(size)
    return np.asarray(atol * np.maximum(1.0, largest / LARGE) + rtol * size)
