"""Starts worker.py: a fresh process for each format, as many at once as there are cores."""

import contextlib
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pipeline.config.params import Train
from pipeline.errors import ParamsError
from pipeline.sandbox import supervisor
from pipeline.training.metrics import metric
from pipeline.verification.evidence import Answers, Continued, Evidence


def ask(evidence: Evidence, data: Path) -> Evidence:
    """With the answers; a format that needs its source gives them in a second process."""
    names = list(evidence.promises)
    needy = [name for name in names if not evidence.promises[name]["code_free"]]
    with tempfile.TemporaryDirectory() as scratch, supervisor.together() as pool:
        started = {
            (name, source): pool.submit(answer, evidence, data, name, Path(scratch), source)
            for source, some in ((False, names), (True, needy))
            for name in some
        }
        training = {
            name: pool.submit(go_on, evidence, data, name, Path(scratch))
            for name in evidence.trainable
        }
        import_metrics(evidence.params.train)
        return dataclasses.replace(
            evidence,
            continued={name: each.result() for name, each in training.items()},
            clean={name: started[name, False].result() for name in names},
            answers={name: started[name, name in needy].result() for name in names},
        )


def answer(evidence: Evidence, data: Path, name: str, scratch: Path, source: bool) -> Answers:
    """Without the source the working directory holds nothing but the format's own file."""
    room = scratch / f"{name}{'-with-source' if source else ''}"
    job, death = _run(evidence, data, name, room, source, "answer")
    shutil.rmtree(job["copy"], ignore_errors=True)
    return supervisor.read(Answers, job, death, evidence.params.verify.limits)


def go_on(evidence: Evidence, data: Path, name: str, scratch: Path) -> Continued:
    """The steps of the reference, taken without the source."""
    job, death = _run(evidence, data, name, scratch / f"{name}-training", False, "go_on")
    return supervisor.read(Continued, job, death, evidence.params.verify.limits)


def _run(
    evidence: Evidence, data: Path, name: str, room: Path, source: bool, task: str
) -> tuple[dict[str, Any], str | None]:
    """The job, and how its process died if it left no report."""
    (room / "empty").mkdir(parents=True)
    job = _job(evidence, data, name, room, source) | {"task": task}
    places = (evidence.complete_model, evidence.checkpoint / "reference", data / "test")
    given = [path for place in places for path in supervisor.linked(place)]
    given += [Path.cwd()] if source else []
    limits, threads = evidence.params.verify.limits, evidence.params.train.threads
    place = Path.cwd() if source else room / "empty"
    return job, supervisor.run(job, room, given, limits, threads, place)


def _job(evidence: Evidence, data: Path, name: str, room: Path, source: bool) -> dict[str, Any]:
    test = data.resolve() / "test" / "inputs"
    reference = evidence.checkpoint.resolve() / "reference"
    return {
        "formats": str(supervisor.formats_alone(room)),
        "format": name,
        "directory": str(evidence.complete_model.resolve()),
        "copy": str(room / "perturbed"),
        "reference": {batch: str(reference / f"{batch}.npz") for batch in evidence.baseline},
        "training": str(reference / "training.npz"),
        "test": {each: str(test / f"{each}.npy") for each in evidence.schema["inputs"]},
        "score": next(iter(evidence.schema["outputs"])),
        "rows": max(256, evidence.params.train.batch_size),
        "threads": evidence.params.train.threads,
        "refuse": [] if source else evidence.sources,
        "repository": str(supervisor.REPOSITORY),
        "source": str(Path.cwd()) if source else None,
        "answers": str(room / "answers.npz"),
        "report": str(room / "report.json"),
    }


def import_metrics(train: Train) -> None:
    """While the processes run; whatever is wrong with a metric is told when it is scored."""
    for name, config in train.metrics.items():
        with contextlib.suppress(ParamsError):
            metric(config, name)
