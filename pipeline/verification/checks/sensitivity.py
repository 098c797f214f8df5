"""The other checks can fail: rows get different answers, and a changed weight is noticed."""

from typing import Any

import numpy as np

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Answers
from pipeline.verification.comparison import compare
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

FAR = 10.0
"""Times the tolerance: rows closer to each other could be exchanged without parity noticing."""

ROUNDING = 1e-6
"""Of the largest answer: less than that sets rows apart only by float32's rounding."""


def check(evidence: Evidence) -> Result:
    """Judges the first output of the batch `many`, and parity itself on a perturbed copy."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    first = next(iter(evidence.schema["outputs"]))
    for name, answers, tolerance in evidence.answered():
        output = answers.outputs.get("many", {}).get(first, np.empty((0, 0)))
        spread, needed = separation(output), _far(output, tolerance)
        if not spread > needed:
            text = f"rows of many/{first} differ by {spread:.3g}, expected more than {needed:.3g}"
            faults.append(Fault(f"{text}; answers so alike prove nothing", name))
        moved, fault = _perturbation(evidence, answers, tolerance)
        faults += [Fault(fault, name)] if fault else []
        measured[name] = {"row_spread": spread, "row_spread_needed": needed, **moved}
    return Result(faults=tuple(faults), measured=measured)


def separation(output: np.ndarray) -> float:
    """Returns the largest distance between two rows' finite values in the same place."""
    rows = output.reshape(len(output), -1).astype(np.float64) if output.size else np.zeros((1, 1))
    rows = np.where(np.isfinite(rows), rows, np.nan)
    columns = ~np.isnan(rows).all(axis=0)
    spans = np.nanmax(rows[:, columns], axis=0) - np.nanmin(rows[:, columns], axis=0)
    return float(spans.max(initial=0.0))


def _far(output: np.ndarray, tolerance: Tolerance) -> float:
    if output.dtype.kind not in "fc":
        return 0.0
    size = float(np.abs(output[np.isfinite(output)]).max(initial=0.0))
    return max(FAR * (tolerance.atol + tolerance.rtol * size), ROUNDING * size)


def _perturbation(
    evidence: Evidence, answers: Answers, tolerance: Tolerance
) -> tuple[dict[str, Any], str | None]:
    """Returns what is measured, and the fault if any; a file that is refused is noticed, too."""
    measured: dict[str, Any] = {"perturbed": answers.weight, "perturbed_moved": None}
    if answers.at == "weights":
        return measured, f"no weight could be perturbed: {answers.error}"
    if answers.error is not None:
        return measured | {"perturbed_refused": answers.error}, None
    moved = compare(answers.perturbed, answers.outputs, tolerance).max_abs
    measured["perturbed_moved"] = moved
    if compare(answers.perturbed, evidence.baseline, tolerance).faults:
        return measured, None
    text = f"one percent on the weight {answers.weight} moves the answers by {moved:.3g}"
    return measured, f"{text}, which parity does not notice; lower verify.tolerance"
