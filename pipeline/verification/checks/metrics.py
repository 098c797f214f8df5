"""The complete model reaches the trained model's metrics on the test split."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.params import Tolerance
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

EXACT = Tolerance(atol=0.0, rtol=0.0)

ROUNDING = Tolerance(atol=1e-6, rtol=1e-4)
"""For a format that may differ from the trained model in the last digits: a mean over rows moves
with them, and of very many rows a few change sides, where two classes are as good as level."""


def check(evidence: Evidence) -> Result:
    """Demands equal numbers where the format's tolerance is zero, within ROUNDING elsewhere."""
    if evidence.schema.get("made_up"):
        return Result(summary="the rows are made up: no metric is claimed", done=False)
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    recorded = evidence.metrics
    for name, answers, tolerance in evidence.answered():
        allowed = EXACT if tolerance == EXACT else ROUNDING
        texts = [*answers.unfit, *_differences(answers.scores, recorded, allowed)]
        faults += [Fault(text, name) for text in texts]
        measured[name] = {"metrics": answers.scores, "atol": allowed.atol, "rtol": allowed.rtol}
    return Result(faults=tuple(faults), measured=measured)


def _differences(
    scores: Mapping[str, float], recorded: Mapping[str, float], allowed: Tolerance
) -> Iterator[str]:
    for name, value in scores.items():
        expected = recorded.get(name)
        if expected is None:
            yield f"{name}: found {value}, the checkpoint's metrics.json has none"
        elif math.isnan(value) and math.isnan(expected):
            continue
        elif not abs(value - expected) <= allowed.atol + allowed.rtol * abs(expected):
            yield f"{name}: found {value}, the trained model reached {expected}"
