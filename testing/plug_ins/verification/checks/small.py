"""Every format's weights are small enough for a letter."""

from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

MOST = 1 << 16


def check(evidence: Evidence) -> Result:
    """Adds the bytes of each format's weights up."""
    sizes = {
        name: sum(size for _, _, size in answers.places)
        for name, answers in evidence.answers.items()
    }
    faults = (
        Fault(f"its weights take {size} bytes, expected {MOST} at most", name)
        for name, size in sizes.items()
        if size > MOST
    )
    return Result(faults=tuple(faults), measured=sizes)
