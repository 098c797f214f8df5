"""verify.json as a mapping."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.plugins import plugin
from pipeline.verification.evidence import Answers, Evidence, Places, Result

WHOLE = ("integrity", "self_contained")
"""Checks that judge a format even when it gave no answer."""


def summarise(evidence: Evidence, results: Mapping[str, Result]) -> dict[str, Any]:
    """The same for the same inputs, but for `timing` and `training_timing` of formats.<name>.

    A format that gave no answer is at fault even if no check says so.
    """
    silent = [name for name, given in evidence.answers.items() if not given.complete]
    faults = [
        {"check": check, "format": name, "fault": text}
        for check, result in results.items()
        for name, text in result.faults
    ]
    blamed = {fault["format"] for fault in faults}
    faults += [
        {"check": "load", "format": name, "fault": str(evidence.answers[name].error)}
        for name in silent
        if name not in blamed
    ]
    by_format = {name: _format(name, evidence, results) for name in evidence.promises}
    found = {
        "passed": not faults,
        "complete_model": _digest(evidence.complete_model),
        "checkpoint": _digest(evidence.checkpoint),
        "model": _model(evidence),
        "faults": faults,
        "checks": {
            name: {
                "about": about(name),
                "passed": not result.faults and (name in WHOLE or not silent),
                "measured": result.measured,
            }
            for name, result in results.items()
        },
        "sizes": sizes(evidence, by_format),
        "formats": by_format,
        "refused": dict(evidence.refused),
    }
    return dict(_finite(found))


def about(check: str) -> str:
    return (plugin("verification.checks", check).__doc__ or "").strip().partition("\n")[0]


def _digest(directory: Any) -> str | None:
    statement = directory / provenance.NAME
    return provenance.digest(statement) if statement.is_file() else None


def _model(evidence: Evidence) -> dict[str, Any]:
    """As the checkpoint has it."""
    metrics = json.loads((evidence.checkpoint / "metrics.json").read_text())
    return {
        "name": provenance.params(evidence.checkpoint)["model"]["name"],
        "epoch": evidence.schema["epoch"],
        "inputs": evidence.schema["inputs"],
        "outputs": evidence.schema["outputs"],
        "sources": evidence.sources,
        "metrics": {k: v for k, v in metrics.items() if k.startswith("test/")},
        "test_rows": len(evidence.target),
    }


def _format(name: str, evidence: Evidence, results: Mapping[str, Result]) -> dict[str, Any]:
    given, more = evidence.answers[name], evidence.continued.get(name)
    state = more.places if more else ()
    paths = _files(given, state, evidence.complete_model)
    files = {file: (evidence.complete_model / file).stat().st_size for file in paths}
    own = [file for file in files if not _belongs_to_other(file, name, evidence.answers)]
    found: dict[str, Any] = {
        "promises": dict(evidence.promises[name]),
        "answered": given.complete,
        "files": files,
        "bytes": sum(files[file] for file in own),
        "weights_bytes": sum(size for _, _, size in given.places),
        "optimizer_bytes": sum(size for _, _, size in state),
    }
    if "parity" in results:
        found |= results["parity"].measured.get(name, {})
    timing = {key: round(value, 4) for key, value in given.timing.items()}
    trained = {key: round(value, 4) for key, value in (more.timing if more else {}).items()}
    return found | {"timing": timing, "training_timing": trained}


def _files(given: Answers, state: Places, directory: Path) -> list[str]:
    """The format's own file, or the files of its own directory, and those that its weights and the
    optimizer's state lie in."""
    found = {file for file, _, _ in (*given.places, *state)}
    if given.file and (directory / given.file).is_dir():
        found |= {f"{given.file}/{name}" for name in provenance.files(directory / given.file)}
    elif given.file:
        found.add(given.file)
    return sorted(found)


def _belongs_to_other(file: str, name: str, answers: Mapping[str, Answers]) -> bool:
    others = (other.file for each, other in answers.items() if each != name and other.file)
    return any(file == other or file.startswith(f"{other}/") for other in others)


def sizes(evidence: Evidence, by_format: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes; `ratio` is what the code-free formats weigh together, over weights and optimizer's
    state alone."""
    complete = [f for f in by_format.values() if f["promises"]["code_free"] and f["answered"]]
    weights = max((f["weights_bytes"] for f in complete), default=0)
    state = max((f["optimizer_bytes"] for f in complete), default=0)
    files = {file: size for f in complete for file, size in f["files"].items()}
    names = provenance.files(evidence.complete_model)
    return {
        "directory": sum((evidence.complete_model / name).stat().st_size for name in names),
        "files": files,
        "weights": weights,
        "optimizer": state,
        "ratio": round(sum(files.values()) / (weights + state), 6) if weights else None,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are written as text."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
