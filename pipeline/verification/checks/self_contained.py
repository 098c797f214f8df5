"""A format that promises to be code-free answers where every package of the source is refused."""

from collections.abc import Iterator

from pipeline.sandbox.reports import Answers
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

NONE = Answers(error="no process was started", at="start")
DOING = {"integrity": "not loaded", "start": "no answer", "first_load": "loading it"}


def check(evidence: Evidence) -> Result:
    """Asks every format; of one that does not promise it `measured` tells whether it needs its
    source."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, object]] = {}
    for name, promises in evidence.promises.items():
        answers = evidence.without_source.get(name, NONE)
        measured[name] = {"refused": sorted(answers.proofs), "without_source": outcome(answers)}
        if promises["code_free"]:
            texts = [*_unproved(evidence, answers), *_silent(answers)]
        else:
            texts = list(_silent(evidence.answers.get(name, answers)))
        faults += [Fault(text, name) for text in texts]
    return Result(faults=tuple(faults), measured=measured)


def outcome(answers: Answers) -> str:
    if answers.complete:
        return "loads and predicts"
    return f"{DOING.get(answers.at, answers.at)}: {answers.error}"


def _silent(answers: Answers) -> Iterator[str]:
    if not answers.complete:
        yield outcome(answers)


def _unproved(evidence: Evidence, answers: Answers) -> Iterator[str]:
    """Yields a fault for each package of the source that was not shown to be out of reach."""
    if answers.at in ("integrity", "start"):
        return
    for package in evidence.sources:
        if package not in answers.proofs:
            yield f"the package {package} was not tried, so nothing shows that it was refused"
        elif "is refused" not in (answers.proofs[package] or ""):
            met = answers.proofs[package] or "it was imported"
            yield f"the package {package} was not refused: {met}"
