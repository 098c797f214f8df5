"""Candidate against baseline: a missing output, shape, dtype, NaN or infinity is a fault too."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.config.params import Tolerance
from pipeline.formats import tolerance as promised
from pipeline.sandbox.reports import Batches

Arrays = Mapping[str, np.ndarray]


@dataclass(kw_only=True)
class Difference:
    """Holds the largest differences over all values that are finite on both sides, and every
    fault."""

    faults: list[str] = field(default_factory=list)
    max_abs: float = 0.0
    max_rel: float = 0.0
    """Where the baseline is not 0."""
    at: str | None = None
    """Of max_abs, as batch/output[index]; None if all values are equal."""
    values: int = 0

    def measured(self, tolerance: Tolerance) -> dict[str, Any]:
        """Returns it beside what was allowed, for the report."""
        distance = {"max_abs_diff": self.max_abs, "max_rel_diff": self.max_rel, "at": self.at}
        return {**distance, "values": self.values, "atol": tolerance.atol, "rtol": tolerance.rtol}


def compare(candidate: Batches, baseline: Batches, tolerance: Tolerance) -> Difference:
    """Compares floats by how far formats.tolerance.allowed lets them be off, all else exactly."""
    difference = Difference()
    for batch, expected in baseline.items():
        outputs = candidate.get(batch, {})
        difference.faults += [
            f"{batch}/{name}: missing" for name in expected if name not in outputs
        ]
        extra = [name for name in outputs if name not in expected]
        known = ", ".join(expected)
        difference.faults += [f"{batch}/{name}: found, expected only {known}" for name in extra]
        for name in expected:
            if name in outputs:
                _compare(f"{batch}/{name}", outputs[name], expected[name], tolerance, difference)
    return difference


def same_bits(candidate: Batches, baseline: Batches) -> Iterator[str]:
    """Yields a line for each output that differs in any bit, is missing or not expected."""
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


def cut(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Returns what an array is indexed with for as much of it as there is of this shape, its rows
    all of them: where dimensions vary, one batch is longer than another."""
    return (slice(None), *(slice(size) for size in shape[1:]))


EXACT = Tolerance(atol=0.0, rtol=0.0)


def _compare(
    where: str,
    actual: np.ndarray,
    expected: np.ndarray,
    tolerance: Tolerance,
    difference: Difference,
) -> None:
    if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
        difference.faults.append(f"{where}: found {_kind(actual)}, expected {_kind(expected)}")
        return
    difference.values += actual.size
    if expected.dtype.kind in "fc":
        _compare_floats(where, actual, expected, tolerance, difference)
        return
    if expected.dtype.kind in "biu":
        _note(where, _distance(actual, expected), _magnitude(expected), difference)
    wrong = actual != expected
    if wrong.any():
        difference.faults.append(_fault(where, actual, expected, wrong, int(wrong.argmax())))


def _compare_floats(
    where: str,
    actual: np.ndarray,
    expected: np.ndarray,
    tolerance: Tolerance,
    difference: Difference,
) -> None:
    finite = np.isfinite(actual) & np.isfinite(expected)
    alike = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    distance = np.where(finite, _distance(actual, expected), 0.0)
    size = np.where(finite, _magnitude(expected), 0.0)
    _note(where, distance, size, difference)
    allowed = promised.allowed(expected, tolerance.atol, tolerance.rtol)
    wrong = np.where(finite, distance > allowed, ~alike)
    if wrong.any():
        worst = int(np.where(wrong, np.where(finite, distance, math.inf), -1.0).argmax())
        text = f", off by {distance.flat[worst]:.3g} where {allowed.flat[worst]:.3g} is allowed"
        text = text if finite.flat[worst] else ""
        difference.faults.append(_fault(where, actual, expected, wrong, worst, text))


def _fault(
    where: str,
    actual: np.ndarray,
    expected: np.ndarray,
    wrong: np.ndarray,
    worst: int,
    text: str = "",
) -> str:
    value, wanted = _show(actual.flat[worst]), _show(expected.flat[worst])
    count = f"{int(wrong.sum())} of {wrong.size} values at fault"
    return f"{_at(where, worst, wrong)}: found {value}, expected {wanted}{text} ({count})"


def _note(where: str, distance: np.ndarray, size: np.ndarray, difference: Difference) -> None:
    if not distance.size:
        return
    worst = int(distance.argmax())
    if distance.flat[worst] > difference.max_abs:
        difference.max_abs = float(distance.flat[worst])
        difference.at = _at(where, worst, distance)
    relative = np.divide(distance, size, out=np.zeros_like(distance), where=size > 0)
    difference.max_rel = max(difference.max_rel, float(relative.max()))


def _distance(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):  # inf - inf
        distance: np.ndarray = np.abs(actual.astype(wide) - expected.astype(wide))
    return distance


def _magnitude(expected: np.ndarray) -> np.ndarray:
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    size: np.ndarray = np.abs(expected.astype(wide))
    return size


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _show(value: Any) -> str:
    return f"{value:.9g}" if value.dtype.kind == "f" else str(value)


def _at(where: str, flat: int, array: np.ndarray) -> str:
    return f"{where}[{', '.join(str(int(i)) for i in np.unravel_index(flat, array.shape))}]"
