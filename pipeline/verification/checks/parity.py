"""The answers are those of the trained model, for every batch of the reference.

So are the ids that a tokenizer makes of texts those that the model was trained with.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.verification.comparison import compare
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result
from pipeline.verification.tokenized import other_ids


def check(evidence: Evidence) -> Result:
    """Compares names, shapes, dtypes, NaN and infinity, too."""
    faults = [Fault(text) for text in _tokenized(evidence)]
    measured: dict[str, dict[str, Any]] = {}
    for name, answers, tolerance in evidence.answered():
        difference = compare(answers.outputs, evidence.baseline, tolerance)
        faults += [Fault(fault, name) for fault in difference.faults]
        measured[name] = difference.measured(tolerance)
    return Result(faults=tuple(faults), measured=measured)


def _tokenized(evidence: Evidence) -> Iterator[str]:
    """Yields what is wrong with the ids that the complete model's tokenizers make of texts."""
    if evidence.ids is None or evidence.ids.at == "integrity":
        return
    if evidence.ids.error is not None:
        yield f"{evidence.ids.at}: {evidence.ids.error}"
        return
    for package in evidence.sources:
        if "is refused" not in (evidence.ids.proofs.get(package) or ""):
            yield f"the package {package} was not refused, so the source may have made the ids"
    yield from other_ids(evidence.texts, evidence.ids.ids)
