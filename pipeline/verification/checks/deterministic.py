"""The same rows give the same answer: in a second call, after a second load, in another batch."""

from typing import Any

from pipeline.config.params import Tolerance
from pipeline.verification.comparison import Arrays, Batches, Difference, compare, same_bits
from pipeline.verification.evidence import Answers, Evidence, Result

ROUNDING = Tolerance(atol=1e-5, rtol=1e-4)
"""Between batches of different size, at least: kernels choose the order of their sums by it."""


def check(evidence: Evidence) -> Result:
    """Calls and loads agree bit for bit; rows in different batches within the tolerance."""
    faults: list[tuple[str | None, str]] = []
    measured: dict[str, dict[str, Any]] = {}
    for name, answers, tolerance in evidence.answered():
        rows = first_rows(answers.outputs, wider(tolerance))
        own = first_rows(evidence.baseline, wider(tolerance))
        found = repeats(answers)
        if not own.faults:  # else the trained model's rows depend on their batch themselves
            found += [f"a row's answer depends on its batch: {fault}" for fault in rows.faults]
        faults += [(name, fault) for fault in found]
        measured[name] = {"batch_diff": rows.max_abs, "batch_diff_of_trained": own.max_abs}
    return Result(faults=faults, measured=measured)


def repeats(answers: Answers) -> list[str]:
    found = [f"second call: {fault}" for fault in same_bits(answers.again, answers.outputs)]
    return found + [
        f"second load: {fault}" for fault in same_bits(answers.reloaded, answers.outputs)
    ]


def first_rows(outputs: Batches, tolerance: Tolerance) -> Difference:
    """The row of `one` leads the larger batches too: what they answer to it, against `one`."""
    batches = [name for name in ("seven", "many") if name in outputs]
    leading: Batches = {name: _first(outputs[name]) for name in batches}
    return compare(leading, {name: outputs.get("one", {}) for name in batches}, tolerance)


def _first(arrays: Arrays) -> Arrays:
    return {name: array[:1] for name, array in arrays.items()}


def wider(tolerance: Tolerance) -> Tolerance:
    return Tolerance(
        atol=max(tolerance.atol, ROUNDING.atol), rtol=max(tolerance.rtol, ROUNDING.rtol)
    )
