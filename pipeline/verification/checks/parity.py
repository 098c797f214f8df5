"""The answers are those of the trained model, for every batch of the reference."""

from typing import Any

from pipeline.verification.comparison import compare
from pipeline.verification.evidence import Evidence, Result


def check(evidence: Evidence) -> Result:
    """Names, shapes, dtypes, NaN and infinity too; tolerances are params.verify.tolerance."""
    faults: list[tuple[str | None, str]] = []
    measured: dict[str, dict[str, Any]] = {}
    for name, answers, tolerance in evidence.answered():
        found = compare(answers.outputs, evidence.baseline, tolerance)
        faults += [(name, fault) for fault in found.faults]
        measured[name] = {
            "max_abs_diff": found.max_abs,
            "max_rel_diff": found.max_rel,
            "at": found.at,
            "values": found.values,
            "atol": tolerance.atol,
            "rtol": tolerance.rtol,
        }
    return Result(faults=faults, measured=measured)
