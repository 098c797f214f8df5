"""The same rows give the same answer: in a second call, after a second load, in another batch."""

from typing import Any

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Answers, Batches
from pipeline.verification.comparison import Arrays, Difference, compare, cut, same_bits
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

ROUNDING = Tolerance(atol=1e-5, rtol=1e-4)
"""Between batches of different size, at least: kernels choose the order of their sums by it."""


def check(evidence: Evidence) -> Result:
    """Demands equal bits of calls and loads, and the tolerance of rows in different batches."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    for name, answers, tolerance in evidence.answered():
        rows = first_rows(answers.outputs, wider(tolerance))
        own = first_rows(evidence.baseline, wider(tolerance))
        unequal = repeats(answers)
        if not own.faults:  # else the trained model's rows depend on their batch themselves
            unequal += [f"a row's answer depends on its batch: {fault}" for fault in rows.faults]
        faults += [Fault(fault, name) for fault in unequal]
        measured[name] = {"batch_diff": rows.max_abs, "batch_diff_of_trained": own.max_abs}
    return Result(faults=tuple(faults), measured=measured)


def repeats(answers: Answers) -> list[str]:
    """Returns where a second call, or a second load, answers otherwise."""
    again = {"second call": answers.again, "second load": answers.reloaded}
    return [
        f"{when}: {fault}"
        for when, outputs in again.items()
        for fault in same_bits(outputs, answers.outputs)
    ]


def first_rows(outputs: Batches, tolerance: Tolerance) -> Difference:
    """Compares what the larger batches answer to the row of `one`, which leads them, with `one`;
    where they are longer than it, as far as it goes."""
    batches = [name for name in ("seven", "many") if name in outputs]
    one = outputs.get("one", {})
    leading: Batches = {name: _first(outputs[name], one) for name in batches}
    return compare(leading, dict.fromkeys(batches, one), tolerance)


def _first(arrays: Arrays, one: Arrays) -> Arrays:
    return {
        name: array[:1][cut(one[name].shape) if name in one else ...]
        for name, array in arrays.items()
    }


def wider(tolerance: Tolerance) -> Tolerance:
    return Tolerance(
        atol=max(tolerance.atol, ROUNDING.atol), rtol=max(tolerance.rtol, ROUNDING.rtol)
    )
