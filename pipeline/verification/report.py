"""The report of verify, as a mapping that is written as verify.json."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline import runtimes
from pipeline.sandbox.reports import Answers, Places
from pipeline.verification import checks
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Result

WHOLE = ("integrity", "self_contained")
"""Checks that judge a format even when it gave no answer."""


def summarise(evidence: Evidence, results: Mapping[str, Result]) -> dict[str, Any]:
    """Returns the report: the same for the same inputs, but for `timing` and `training_timing` of
    formats.<name>, `timing` of runtimes.<name>, and `speeds`.

    A format that gave no answer is at fault even if no check says so.
    """
    silent = [name for name, answers in evidence.answers.items() if not answers.complete]
    faults = [
        {"check": check, "format": fault.format, "fault": fault.text}
        for check, result in results.items()
        for fault in result.faults
    ]
    blamed = {fault["format"] for fault in faults}
    faults += [
        {"check": "load", "format": name, "fault": str(evidence.answers[name].error)}
        for name in silent
        if name not in blamed
    ]
    by_format = {name: _format(name, evidence, results) for name in evidence.promises}
    report = {
        "passed": not faults,
        **evidence.digests,
        "model": _model(evidence),
        "faults": faults,
        "checks": {
            name: {
                "about": checks.about(name),
                "passed": not result.faults and (name in WHOLE or not silent),
                "not_done": "" if result.done else result.summary,
                "measured": result.measured,
            }
            for name, result in results.items()
        },
        "sizes": sizes(evidence, by_format),
        "formats": by_format,
        "refused": dict(evidence.refused),
        "runtimes": _runtimes(evidence, results),
        "speeds": _speeds(evidence),
        "notes": list(evidence.notes),
    }
    return dict(_finite(report))


def _model(evidence: Evidence) -> dict[str, Any]:
    """Describes the model as the checkpoint has it."""
    return {
        "name": evidence.model,
        "epoch": evidence.schema["epoch"],
        "inputs": evidence.schema["inputs"],
        "outputs": evidence.schema["outputs"],
        "sources": evidence.sources,
        "metrics": {k: v for k, v in evidence.metrics.items() if k.startswith("test/")},
        "test_rows": evidence.test_rows,
    }


def _format(name: str, evidence: Evidence, results: Mapping[str, Result]) -> dict[str, Any]:
    answers, training = evidence.answers[name], evidence.trainings.get(name)
    state = training.places if training else ()
    paths = _files(answers, state)
    files = {file: evidence.files[file] for file in paths}
    own = [file for file in files if not _belongs_to_other(file, name, evidence.answers)]
    report: dict[str, Any] = {
        "promises": dict(evidence.promises[name]),
        "answered": answers.complete,
        "files": files,
        "bytes": sum(files[file] for file in own),
        "weights_bytes": sum(size for _, _, size in answers.places),
        "optimizer_bytes": sum(size for _, _, size in state),
    }
    if "parity" in results:
        report |= results["parity"].measured.get(name, {})
    timing = {key: round(value, 4) for key, value in answers.timing.items()}
    trained = training.timing if training else {}
    return report | {
        "timing": timing,
        "training_timing": {key: round(value, 4) for key, value in trained.items()},
    }


def _runtimes(evidence: Evidence, results: Mapping[str, Result]) -> dict[str, Any]:
    measured = results["runtimes"].measured if "runtimes" in results else {}
    return {
        name: {
            **each,
            "title": runtimes.declared(name).title,
            "timing": _rounded(evidence.ran[name].timing),
        }
        for name, each in measured.items()
    }


def _speeds(evidence: Evidence) -> dict[str, Any]:
    """Returns those of formats, and of the programs that ran beside them, in the same words."""
    timed = {name: ran.timing for name, ran in evidence.ran.items() if "load_seconds" in ran.timing}
    return {name: _rounded(each) for name, each in {**evidence.speeds, **timed}.items()}


def _rounded(timing: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 7) for key, value in timing.items()}


def _files(answers: Answers, state: Places) -> list[str]:
    """Returns the format's own file, and those that weights and optimizer's state lie in."""
    own = {answers.file} if answers.file else set()
    return sorted({*own, *(file for file, _, _ in (*answers.places, *state))})


def _belongs_to_other(file: str, name: str, answers: Mapping[str, Answers]) -> bool:
    return any(file == other.file for each, other in answers.items() if each != name)


def sizes(evidence: Evidence, by_format: Mapping[str, Any]) -> dict[str, Any]:
    """Returns bytes; `ratio` is what the code-free formats weigh together, over weights and
    optimizer's state alone."""
    complete = [f for f in by_format.values() if f["promises"]["code_free"] and f["answered"]]
    weights = max((f["weights_bytes"] for f in complete), default=0)
    state = max((f["optimizer_bytes"] for f in complete), default=0)
    files = {file: size for f in complete for file, size in f["files"].items()}
    return {
        "directory": sum(evidence.files.values()),
        "files": files,
        "weights": weights,
        "optimizer": state,
        "ratio": round(sum(files.values()) / (weights + state), 6) if weights else None,
    }


def _finite(value: Any) -> Any:
    """Writes NaN and infinity as text, since JSON has neither."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
