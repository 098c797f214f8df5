"""Ids out of range, NaN and the like are answered, or refused, as the trained model does."""

from collections.abc import Iterator
from typing import Any

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Answers
from pipeline.verification.comparison import EXACT, compare
from pipeline.verification.evidence import Evidence
from pipeline.verification.questions import Questions
from pipeline.verification.result import Fault, Result


def check(evidence: Evidence) -> Result:
    """Demands it of a format that promises every bit. Of the others `measured` tells where they
    differ: their runtimes have rules of their own, as a maximum that passes over NaN."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    asked = evidence.questions
    if asked is None:
        return Result(summary="the checkpoint is from before this was recorded", done=False)
    for name, answers, tolerance in evidence.answered():
        differing = list(_differences(asked, answers, tolerance))
        if tolerance == EXACT:
            faults += [Fault(text, name) for text in differing]
        measured[name] = {"asked": len(asked.names), "differing": differing}
    return Result(faults=tuple(faults), measured=measured)


def _differences(asked: Questions, answers: Answers, tolerance: Tolerance) -> Iterator[str]:
    for number, question in enumerate(asked.names):
        key, refusal = str(number), asked.refusals[number]
        given = answers.questions.get(key)
        if given is None:
            if not refusal:
                reason = answers.refused_rows.get(key, "no answer")
                yield f"{question}: refused ({reason}), but the trained model answers"
        elif refusal:
            yield f"{question}: answered, but the trained model refuses it ({refusal})"
        else:
            wanted = {question: asked.answers(number)}
            yield from compare({question: given}, wanted, tolerance).faults
