"""What each format does in a confined process: screen its files, answer, train on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import formats, provenance
from pipeline.config.params import Limits, Tolerance, Verify
from pipeline.examine import content
from pipeline.examine.examples import TEXTS, texts_of
from pipeline.files import temporary_folder
from pipeline.sandbox import supervisor
from pipeline.sandbox.reports import UNREADABLE, Answers, Batches, Ids, Reported, Training, read
from pipeline.untrusted import arrays
from pipeline.verification import tolerances
from pipeline.verification.checks.deterministic import repeats
from pipeline.verification.comparison import compare
from pipeline.verification.evidence import OURS
from pipeline.verification.result import Result, failed
from pipeline.verification.tokenized import other_ids

BATCHES = ("one", "seven")
MOST_THREADS = 256
LIBRARIES = ("torch", "tensorflow", "keras", "numpy", "onnxruntime", "onnx")
"""That a stranger cannot have refused by calling them the model's source."""


def screen(copy: Path, limits: Limits) -> str:
    """Has each format look at its own files before they are loaded. Raises ValueError."""
    safe = loadable(copy)
    with temporary_folder() as work, supervisor.pool() as pool:
        reports = {
            name: pool.submit(_run, Answers, copy, name, work, limits, "screen") for name in safe
        }
        for name, report in reports.items():
            if error := report.result().error:
                raise ValueError(f"{name}: {error.removeprefix('ValueError: ')}")
    return f"{', '.join(safe)}: nothing but plain data and known operators"


def never_loaded(copy: Path) -> list[str]:
    """Returns the formats that nothing here judges."""
    safe = loadable(copy)
    return [name for name in content.formats(copy)[0] if name not in safe]


def loadable(copy: Path) -> list[str]:
    """Returns the formats that promise to be safe to load, and look at their files before.

    Raises ValueError where there is none.
    """
    held, _ = content.formats(copy)
    declared = {name: formats.declared(name) for name in held}
    safe = [n for n, each in declared.items() if each.promises.safe_to_load and each.screens]
    if not safe:
        raise ValueError(f"{', '.join(held)}: can run code from its file, so nothing is loaded")
    return safe


def answer(copy: Path, verify: Verify) -> Iterator[tuple[str, Result]]:
    """Loads what `screen` has let through, and holds it to the examples, check by check."""
    _, trains = content.formats(copy)
    if other := tolerances.other_processor(provenance.read(copy)):
        yield "processor", Result(summary=other, done=False)
    exact, schema = other is None, content.schema(copy)
    names, texts = loadable(copy), texts_of(copy)
    examples = {name: _outputs(arrays.read(copy / f"examples/{name}.npz")) for name in BATCHES}
    with temporary_folder() as work, supervisor.pool() as pool:
        limits = verify.limits
        ids = pool.submit(_run, Ids, copy, names[0], work, limits, "tokenize") if texts else None
        answers = {n: pool.submit(_run, Answers, copy, n, work, limits, "answer") for n in names}
        trainings = {
            n: pool.submit(_run, Training, copy, n, work, limits, "train")
            for n in names
            if n in trains
        }
        if ids is not None:
            yield "tokenizers", _judged_ids(ids.result(), texts)
        for name in names:
            tolerance = tolerances.of_answers(verify, name, exact, schema)
            yield f"answers: {name}", _judged_answers(answers[name].result(), examples, tolerance)
            if name in trainings:
                tolerance = tolerances.of_training(verify, name, exact)
                result = _judged_training(trainings[name].result(), copy, tolerance)
                yield f"trains on: {name}", result


def _judged_answers(answers: Answers, examples: Batches, tolerance: Tolerance) -> Result:
    if fault := _unfinished(answers):
        return failed([fault])
    try:
        difference = compare(answers.outputs, examples, tolerance)
        faults = [*difference.faults, *repeats(answers)]
    except UNREADABLE as fault:
        return failed([f"cannot be compared: {fault}"])
    at_most = f"off by {difference.max_abs:.3g} at most, repeated"
    return failed(faults, f"{difference.values} values of its examples, {at_most}")


def _judged_training(training: Training, copy: Path, tolerance: Tolerance) -> Result:
    if fault := _unfinished(training):
        return failed([fault])
    losses = arrays.read(copy / "examples/training.npz")["loss"]
    expected = {"losses": {str(step): loss for step, loss in enumerate(losses)}}
    try:
        reached = {"losses": training.results.get("losses", {})}
        difference = compare(reached, expected, tolerance)
    except UNREADABLE as fault:
        return failed([f"cannot be compared: {fault}"])
    summary = f"{len(losses)} steps, their losses off by {difference.max_abs:.3g} at most"
    return failed(difference.faults, summary)


def _judged_ids(report: Ids, texts: Mapping[str, Any]) -> Result:
    if fault := _unfinished(report):
        return failed([fault])
    try:
        faults = list(other_ids(texts, report.ids))
    except UNREADABLE as fault:
        return failed([f"cannot be compared: {fault}"])
    count = sum(len(each["texts"]) for each in texts.values())
    return failed(faults, f"{count} texts of its examples, with the ids that it says")


def _unfinished(report: Answers | Training | Ids) -> str | None:
    if report.error is None and report.at == "done":
        return None
    return f"{report.at}: {report.error or 'it did not finish'}"


def _outputs(example: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix("output."): v for k, v in example.items() if k.startswith("output.")}


def _run(
    kind: type[Reported],
    copy: Path,
    name: str,
    scratch: Path,
    limits: Limits,
    task: supervisor.Task,
) -> Reported:
    """Runs a task in a process that can read nothing but the copy."""
    work_dir = scratch / f"{name}-{task}"
    job = supervisor.new_job(
        work_dir,
        task,
        name,
        complete_model=copy,
        batches={batch: copy / f"examples/{batch}.npz" for batch in BATCHES},
        training=copy / "examples/training.npz",
        threads=threads(copy),
        texts=str(copy / "examples" / TEXTS) if task == "tokenize" else None,
        refused=sorted({*OURS, *content.schema(copy)["sources"]} - {*LIBRARIES}),
    )
    imports = () if task in ("screen", "tokenize") else formats.declared(name).imports
    return read(kind, job, supervisor.run(job, work_dir, [copy], limits, imports), limits)


def threads(copy: Path) -> int:
    """Returns the threads of training, which bitwise parity needs. Raises ValueError."""
    number = provenance.params(copy).get("train", {}).get("threads")
    if not isinstance(number, int) or not 0 < number <= MOST_THREADS:
        raise ValueError(f"{copy / provenance.NAME}: train.threads is {number!r:.50}")
    return number
