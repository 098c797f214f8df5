"""The answers are those of the trained model, for every batch of the reference."""

from typing import Any

from pipeline.verification.comparison import compare
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result


def check(evidence: Evidence) -> Result:
    """Compares names, shapes, dtypes, NaN and infinity, too."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    for name, answers, tolerance in evidence.answered():
        difference = compare(answers.outputs, evidence.baseline, tolerance)
        faults += [Fault(fault, name) for fault in difference.faults]
        measured[name] = {
            "max_abs_diff": difference.max_abs,
            "max_rel_diff": difference.max_rel,
            "at": difference.at,
            "values": difference.values,
            "atol": tolerance.atol,
            "rtol": tolerance.rtol,
        }
    return Result(faults=tuple(faults), measured=measured)
