"""Every format answers in a fresh process without its source and is held to what it promises."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import formats, project, runtimes
from pipeline.config.params import VerifyParams
from pipeline.errors import IncompleteArtifact, VerificationFailed
from pipeline.files import write_atomically
from pipeline.run import stage
from pipeline.sandbox import supervisor
from pipeline.untrusted import signatures
from pipeline.verification import checks
from pipeline.verification.evidence import not_loaded, read_evidence
from pipeline.verification.result import Result

FIRST = "integrity"
"""Judged whatever params.verify.checks says: nothing is loaded from bytes nobody vouches for."""

PROGRAMS = "runtimes"
"""Judged in any case where the model carries programs."""


def verify(
    complete_model: Path, checkpoint: Path, data: Path, report: Path, params: VerifyParams
) -> None:
    """Writes `report` and a page beside it, then raises VerificationFailed if there is a fault.

    Where trusted keys are named, no file is parsed that none of them signed.
    """
    trusted = [Path(key) for key in params.verify.trusted_keys]
    signed_by = signatures.demand(complete_model, trusted) if trusted else None
    held, trains, refused = held_formats(complete_model)
    promises = {
        name: formats.declared(name).promises.as_mapping() | {"trainable": name in trains}
        for name in held
    }
    evidence = read_evidence(complete_model, checkpoint, data, params, promises)
    carried, required = held_programs(complete_model)
    evidence = dataclasses.replace(evidence, refused=refused, runtimes=carried, required=required)
    results: dict[str, Result] = {FIRST: checks.named(FIRST).check(evidence)}
    if results[FIRST].faults:
        evidence = not_loaded(evidence, "a file is not what the statement says, see integrity")
    else:
        from pipeline.verification import programs, speed
        from pipeline.verification.answers import collect_answers

        evidence = speed.collect(programs.collect(collect_answers(evidence, data)), data)
    last = [PROGRAMS] if evidence.ran else []
    for name in (*params.verify.checks, *last):
        if name not in results:
            results[name] = checks.named(name).check(evidence)

    from pipeline.verification.page import as_page
    from pipeline.verification.pictures import pictures
    from pipeline.verification.report import summarise

    written = summarise(evidence, results)
    written |= {"signed_by": signed_by, "confined": supervisor.description(params.verify.limits)}
    page = report.with_suffix(".html")
    write_atomically(report, json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    write_atomically(page, as_page(written, pictures(checkpoint, data)))
    for name, judged in written["checks"].items():
        passed = f"not done: {judged['not_done']}" if judged["not_done"] else "passed"
        print(f"{name}: {passed if judged['passed'] else 'FAILED'}", flush=True)
    for line in _words(written):
        print(line, flush=True)
    _demand_passed(written["faults"], page)


def held_formats(complete_model: Path) -> tuple[list[str], list[str], dict[str, str]]:
    """Returns what formats.json says is held, can be trained on, and refused with the reason.

    Nothing if there is no reading it, which integrity then tells. Raises IncompleteArtifact."""
    try:
        listed = json.loads((complete_model / "formats.json").read_text())
        held, trains = ([str(name) for name in listed[key]] for key in ("held", "trains"))
        refused = dict(listed["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        return [], [], {}
    for name in held:
        if name not in formats.names():
            text = f"{complete_model}: has the format {name}, which pipeline/formats/ lacks"
            raise IncompleteArtifact(f"{text}; run `dvc repro export-complete`")
    return held, trains, refused


def held_programs(complete_model: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the runtimes whose programs formats.json says are carried, and that must run here;
    none if there is no reading it, which integrity then tells. Raises IncompleteArtifact."""
    try:
        listed = json.loads((complete_model / "formats.json").read_text()).get("runtimes", {})
        held, required = (tuple(map(str, listed.get(key, ()))) for key in ("held", "required"))
    except (OSError, ValueError, AttributeError, TypeError):
        return (), ()
    if unknown := [name for name in held if name not in runtimes.names()]:
        text = f"{complete_model}: has the runtime {unknown[0]}, which pipeline/runtimes/ lacks"
        raise IncompleteArtifact(f"{text}; run `dvc repro export-complete`")
    return held, required


def _words(report: dict[str, Any]) -> Iterator[str]:
    """Yields what is no fault, and yet to be known."""
    for note in report["notes"]:
        yield f"note: {note}"
    for name, ran in report["runtimes"].items():
        yield f"{name}: {ran['outcome']}" + (f": {ran['why']}" if ran["why"] else "")
    for name, measured in report["checks"].get("sensitivity", {"measured": {}})["measured"].items():
        if measured["alike"]:
            yield f"note: {name}: {measured['alike']}"
    for name, measured in report["checks"].get("odd_inputs", {"measured": {}})["measured"].items():
        for text in measured["differing"]:
            yield f"note: {name}: {text}"


def _demand_passed(faults: list[dict[str, Any]], page: Path) -> None:
    if not faults:
        return
    first = faults[0]
    where = f"{first['check']}: " + (f"{first['format']}: " if first["format"] else "")
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults, the first"
    raise VerificationFailed(f"{count}: {where}{first['fault']}; see {page}")


if __name__ == "__main__":
    stage.main(verify, judges=("complete_model",), unread={"checkpoint": project.CHECKPOINT_FILE})
