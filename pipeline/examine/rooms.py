"""What is asked of each format in a confined process: its screen, its answers, its training."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import formats, provenance
from pipeline.config.params import Limits, Tolerance, Verify
from pipeline.examine import arrays, content
from pipeline.examine.line import Line, judged
from pipeline.sandbox import supervisor
from pipeline.sandbox.supervisor import UNREADABLE
from pipeline.verification import tolerances
from pipeline.verification.checks.deterministic import repeats
from pipeline.verification.comparison import Batches, compare
from pipeline.verification.evidence import OURS, Answers, Continued

BATCHES = ("one", "seven")
MOST_THREADS = 256


def screened(copy: Path, limits: Limits) -> str:
    """What each format says of its own files before they are loaded. Raises ValueError."""
    safe = loadable(copy)
    with tempfile.TemporaryDirectory() as scratch, supervisor.together() as pool:
        asked = {name: pool.submit(_screen, copy, name, Path(scratch), limits) for name in safe}
        for name, each in asked.items():
            if error := each.result().error:
                raise ValueError(f"{name}: {error.removeprefix('ValueError: ')}")
    unsafe = [name for name in content.formats(copy)[0] if name not in safe]
    told = f"; {', '.join(unsafe)}: may run code from its file, so never loaded" if unsafe else ""
    return f"{', '.join(safe)}: nothing but plain data and known operators{told}"


def loadable(copy: Path) -> list[str]:
    """Formats that promise to be safe to load, and look at their files before. Raises ValueError
    where there is none."""
    held, _ = content.formats(copy)
    declared = {name: formats.declared(name) for name in held}
    found = [n for n, each in declared.items() if each.promises.safe_to_load and each.screens]
    if not found:
        raise ValueError(f"{', '.join(held)}: can run code from its file, so nothing is loaded")
    return found


def answers(copy: Path, verify: Verify) -> Iterator[Line]:
    """Loads what `screened` has let through, and holds it to the examples."""
    _, trains = content.formats(copy)
    names = loadable(copy)
    baseline = {n: _outputs(arrays.read(copy / f"examples/{n}.npz")) for n in BATCHES}
    with tempfile.TemporaryDirectory() as scratch, supervisor.together() as pool:
        place = Path(scratch)
        given = {name: pool.submit(_answer, copy, name, place, verify.limits) for name in names}
        more = {
            name: pool.submit(_go_on, copy, name, place, verify.limits)
            for name in names
            if name in trains
        }
        for name in names:
            yield _judged_answers(
                name,
                given[name].result(),
                baseline,
                tolerances.of_answers(verify, name),
            )
            if name in more:
                yield _judged_steps(name, more[name].result(), copy, verify)


def _judged_answers(name: str, given: Answers, baseline: Batches, tolerance: Tolerance) -> Line:
    if given.error is not None or given.at != "done":
        fault = f"{given.at}: {given.error or 'it did not finish'}"
        return judged(f"answers: {name}", [fault], "")
    try:
        found = compare(given.outputs, baseline, tolerance)
        again = repeats(given)
    except UNREADABLE as fault:
        return judged(f"answers: {name}", [f"cannot be compared: {fault}"], "")
    text = f"{found.values} values of its examples, off by {found.max_abs:.3g} at most, repeated"
    return judged(f"answers: {name}", [*found.faults, *again], text)


def _judged_steps(name: str, given: Continued, copy: Path, verify: Verify) -> Line:
    if given.error is not None or given.at != "done":
        fault = f"{given.at}: {given.error or 'it did not finish'}"
        return judged(f"trains on: {name}", [fault], "")
    losses = arrays.read(copy / "examples/training.npz")["loss"]
    expected = {"losses": {str(step): loss for step, loss in enumerate(losses)}}
    try:
        given_losses = {"losses": given.found.get("losses", {})}
        found = compare(
            given_losses,
            expected,
            tolerances.of_training(verify, name),
        )
    except UNREADABLE as fault:
        return judged(f"trains on: {name}", [f"cannot be compared: {fault}"], "")
    text = f"{len(losses)} steps, their losses off by {found.max_abs:.3g} at most"
    return judged(f"trains on: {name}", found.faults, text)


def _outputs(example: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix("output."): v for k, v in example.items() if k.startswith("output.")}


def _screen(copy: Path, name: str, scratch: Path, limits: Limits) -> Answers:
    return supervisor.read(Answers, *_run(copy, name, scratch, limits, "screen"), limits)


def _answer(copy: Path, name: str, scratch: Path, limits: Limits) -> Answers:
    return supervisor.read(Answers, *_run(copy, name, scratch, limits, "answer"), limits)


def _go_on(copy: Path, name: str, scratch: Path, limits: Limits) -> Continued:
    return supervisor.read(Continued, *_run(copy, name, scratch, limits, "go_on"), limits)


def _run(
    copy: Path, name: str, scratch: Path, limits: Limits, task: str
) -> tuple[dict[str, Any], str | None]:
    """Nothing but the copy can be read, and the room be written."""
    room = scratch / f"{name}-{task}"
    (room / "empty").mkdir(parents=True)
    threads = _threads(copy)
    job = {
        "task": task,
        "formats": str(supervisor.formats_alone(room)),
        "format": name,
        "directory": str(copy.resolve()),
        "copy": None,
        "reference": {batch: str(copy.resolve() / f"examples/{batch}.npz") for batch in BATCHES},
        "training": str(copy.resolve() / "examples/training.npz"),
        "test": {},
        "threads": threads,
        "refuse": sorted({*OURS, *content.schema(copy)["sources"]} - {*LIBRARIES}),
        "repository": str(supervisor.REPOSITORY),
        "source": None,
        "answers": str(room / "answers.npz"),
        "report": str(room / "report.json"),
    }
    return job, supervisor.run(job, room, [copy], limits, threads, room / "empty")


LIBRARIES = ("torch", "tensorflow", "keras", "numpy", "onnxruntime", "onnx")
"""That a stranger cannot have refused by calling them the model's source."""


def _threads(copy: Path) -> int:
    """Of training, which bitwise parity needs."""
    found = provenance.params(copy).get("train", {}).get("threads")
    if not isinstance(found, int) or not 0 < found <= MOST_THREADS:
        raise ValueError(f"{copy / provenance.NAME}: train.threads is {found!r:.50}")
    return found
