"""A format that promises to be code-free answers where every package of the source is refused."""

from collections.abc import Iterator

from pipeline.verification.evidence import Answers, Evidence, Result

DOING = {"integrity": "not loaded", "start": "no answer", "first_load": "loading it"}


def check(evidence: Evidence) -> Result:
    """A format that does not promise it may need its source; `measured` then tells so."""
    faults: list[tuple[str | None, str]] = []
    measured: dict[str, dict[str, object]] = {}
    for name, promises in evidence.promises.items():
        clean = evidence.clean.get(name, Answers(error="no process was started", at="start"))
        measured[name] = {"refused": sorted(clean.proofs), "without_source": outcome(clean)}
        if promises["code_free"]:
            found = [*_unproved(evidence, clean), *_silent(clean)]
        else:
            found = list(_silent(evidence.answers.get(name, clean)))
        faults += [(name, fault) for fault in found]
    return Result(faults=faults, measured=measured)


def outcome(answers: Answers) -> str:
    if answers.complete:
        return "loads and predicts"
    return f"{DOING.get(answers.at, answers.at)}: {answers.error}"


def _silent(answers: Answers) -> Iterator[str]:
    if not answers.complete:
        yield outcome(answers)


def _unproved(evidence: Evidence, clean: Answers) -> Iterator[str]:
    """That a process answered without the source counts only if the source was out of reach."""
    if clean.at in ("integrity", "start"):
        return
    for package in evidence.sources:
        if package not in clean.proofs:
            yield f"the package {package} was not tried, so nothing shows that it was refused"
        elif "is refused" not in (clean.proofs[package] or ""):
            met = clean.proofs[package] or "it was imported"
            yield f"the package {package} was not refused: {met}"
