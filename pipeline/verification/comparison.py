"""Candidate against baseline: a missing output, shape, dtype, NaN or infinity is a fault too."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Batches

Arrays = Mapping[str, np.ndarray]


@dataclass(kw_only=True)
class Difference:
    """The largest differences over all values that are finite on both sides, and every fault."""

    faults: list[str] = field(default_factory=list)
    max_abs: float = 0.0
    max_rel: float = 0.0
    """Where the baseline is not 0."""
    at: str | None = None
    """Of max_abs, as batch/output[index]; None if all values are equal."""
    values: int = 0


def compare(candidate: Batches, baseline: Batches, tolerance: Tolerance) -> Difference:
    """|candidate - baseline| <= atol + rtol * |baseline|; what is no float must be equal."""
    found = Difference()
    for batch, expected in baseline.items():
        given = candidate.get(batch, {})
        found.faults += [f"{batch}/{name}: missing" for name in expected if name not in given]
        extra = [name for name in given if name not in expected]
        known = ", ".join(expected)
        found.faults += [f"{batch}/{name}: found, expected only {known}" for name in extra]
        for name in expected:
            if name in given:
                _compare(f"{batch}/{name}", given[name], expected[name], tolerance, found)
    return found


def same_bits(candidate: Batches, baseline: Batches) -> Iterator[str]:
    """One line for each output that differs in any bit, is missing or not expected."""
    for batch, expected in baseline.items():
        for name in candidate.get(batch, {}):
            if name not in expected:
                yield f"{batch}/{name}: found, expected only {', '.join(expected)}"
        for name, array in expected.items():
            other = candidate.get(batch, {}).get(name)
            if other is None:
                yield f"{batch}/{name}: missing"
            elif (other.shape, other.dtype) != (array.shape, array.dtype):
                yield f"{batch}/{name}: found {_kind(other)}, expected {_kind(array)}"
            elif other.tobytes() != array.tobytes():
                moved = compare({batch: {name: other}}, {batch: {name: array}}, EXACT)
                yield f"{batch}/{name}: differs by up to {moved.max_abs:.3g}"


EXACT = Tolerance(atol=0.0, rtol=0.0)


def _compare(
    where: str, given: np.ndarray, expected: np.ndarray, tolerance: Tolerance, found: Difference
) -> None:
    if (given.shape, given.dtype) != (expected.shape, expected.dtype):
        found.faults.append(f"{where}: found {_kind(given)}, expected {_kind(expected)}")
        return
    found.values += given.size
    if expected.dtype.kind in "fc":
        _compare_floats(where, given, expected, tolerance, found)
        return
    if expected.dtype.kind in "biu":
        _note(where, _distance(given, expected), _magnitude(expected), found)
    wrong = given != expected
    if wrong.any():
        found.faults.append(_fault(where, given, expected, wrong, int(wrong.argmax())))


def _compare_floats(
    where: str, given: np.ndarray, expected: np.ndarray, tolerance: Tolerance, found: Difference
) -> None:
    finite = np.isfinite(given) & np.isfinite(expected)
    alike = (given == expected) | (np.isnan(given) & np.isnan(expected))
    distance = np.where(finite, _distance(given, expected), 0.0)
    size = np.where(finite, _magnitude(expected), 0.0)
    _note(where, distance, size, found)
    allowed = tolerance.atol + tolerance.rtol * size
    wrong = np.where(finite, distance > allowed, ~alike)
    if wrong.any():
        worst = int(np.where(wrong, np.where(finite, distance, math.inf), -1.0).argmax())
        text = f", off by {distance.flat[worst]:.3g} where {allowed.flat[worst]:.3g} is allowed"
        text = text if finite.flat[worst] else ""
        found.faults.append(_fault(where, given, expected, wrong, worst, text))


def _fault(
    where: str,
    given: np.ndarray,
    expected: np.ndarray,
    wrong: np.ndarray,
    worst: int,
    text: str = "",
) -> str:
    found, wanted = _show(given.flat[worst]), _show(expected.flat[worst])
    count = f"{int(wrong.sum())} of {wrong.size} values at fault"
    return f"{_at(where, worst, wrong)}: found {found}, expected {wanted}{text} ({count})"


def _note(where: str, distance: np.ndarray, size: np.ndarray, found: Difference) -> None:
    if not distance.size:
        return
    worst = int(distance.argmax())
    if distance.flat[worst] > found.max_abs:
        found.max_abs = float(distance.flat[worst])
        found.at = _at(where, worst, distance)
    relative = np.divide(distance, size, out=np.zeros_like(distance), where=size > 0)
    found.max_rel = max(found.max_rel, float(relative.max()))


def _distance(given: np.ndarray, expected: np.ndarray) -> np.ndarray:
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):  # inf - inf
        found: np.ndarray = np.abs(given.astype(wide) - expected.astype(wide))
    return found


def _magnitude(expected: np.ndarray) -> np.ndarray:
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    found: np.ndarray = np.abs(expected.astype(wide))
    return found


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _show(value: Any) -> str:
    return f"{value:.9g}" if value.dtype.kind == "f" else str(value)


def _at(where: str, flat: int, array: np.ndarray) -> str:
    return f"{where}[{', '.join(str(int(i)) for i in np.unravel_index(flat, array.shape))}]"
