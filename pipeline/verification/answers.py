"""Every format's answers, each from a fresh process, as many at once as there are cores."""

import contextlib
import dataclasses
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.params import Train
from pipeline.errors import ParamsError
from pipeline.files import temporary_folder
from pipeline.formats import declared
from pipeline.sandbox import supervisor
from pipeline.sandbox.reports import Answers, Ids, Training, read
from pipeline.sandbox.worker.job import Job
from pipeline.training.metrics import metric
from pipeline.verification import scoring, state
from pipeline.verification.comparison import EXACT
from pipeline.verification.evidence import STATE, TEXTS, Evidence


def collect_answers(evidence: Evidence, data: Path) -> Evidence:
    """Returns the evidence with the answers; a format that needs its source gives them in a second
    process."""
    names = list(evidence.promises)
    with_source = [name for name in names if not evidence.promises[name]["code_free"]]
    with temporary_folder() as scratch, supervisor.pool() as pool:
        answers = {
            (name, source): pool.submit(_answers, evidence, data, name, scratch, source)
            for source, formats in ((False, names), (True, with_source))
            for name in formats
        }
        trainings = {
            name: pool.submit(train_on, evidence, data, name, scratch)
            for name in evidence.trainable
        }
        tokens = pool.submit(tokenize, evidence, data, scratch) if evidence.texts else None
        import_metrics(evidence.params.train)
        complete = dataclasses.replace(
            evidence,
            ids=None if tokens is None else tokens.result(),
            trainings={name: each.result() for name, each in trainings.items()},
            without_source={name: answers[name, False].result() for name in names},
            answers={name: answers[name, name in with_source].result() for name in names},
        )
        again = partial(_train, evidence, data, scratch / "state")
        return state.with_values(complete, again)


def _answers(evidence: Evidence, data: Path, name: str, scratch: Path, source: bool) -> Answers:
    work_dir = scratch / f"{name}{'-with-source' if source else ''}"
    test = data.resolve() / "test" / "inputs"
    allowed = evidence.tolerance(name)
    more: dict[str, Any] = {
        "influence": evidence.influence and str(evidence.influence.path.resolve()),
        "questions": evidence.questions and str(evidence.questions.path.resolve()),
        "allowed": (allowed.atol, allowed.rtol),
        "copy": str(work_dir / "perturbed"),
        "test": {each: str(test / f"{each}.npy") for each in evidence.schema["inputs"]},
        "varying": {n: e for n, e in evidence.schema["inputs"].items() if _varies(e)},
        "scored": scoring.scored(evidence),
        "test_answers": str(work_dir / "test.npys"),
        "rows": max(256, evidence.params.train.batch_size),
        "source": str(Path.cwd()) if source else None,
    }
    job = new_job(evidence, work_dir, "answer", name, **more)
    death = run_job(evidence, data, job, work_dir)
    shutil.rmtree(work_dir / "perturbed", ignore_errors=True)
    answers = read(Answers, job, death, evidence.params.verify.limits)
    written = work_dir / "test.npys"
    if answers.complete:
        scores, unfit = scoring.score(evidence, data, written, job.rows)
        answers = dataclasses.replace(answers, scores=scores, unfit=unfit)
    written.unlink(missing_ok=True)
    return answers


def _varies(entry: dict[str, Any]) -> bool:
    return not all(isinstance(size, int) for size in entry["shape"])


def train_on(evidence: Evidence, data: Path, name: str, scratch: Path) -> Training:
    """Takes the steps of the reference without the source.

    Where equal bits are promised the state is told by digests, and by its values only where these
    differ: then it is to be said by how much.
    """
    if evidence.training_tolerance(name) == EXACT:
        training = _train(evidence, data, scratch / f"{name}-training", name, digests=True)
        if training.error is not None:
            return training
        if state.is_the_reference(training.digests, evidence):
            results = {**training.results, STATE: evidence.trained[STATE]}
            return dataclasses.replace(training, results=results)
    return _train(evidence, data, scratch / f"{name}-training-values", name)


def _train(evidence: Evidence, data: Path, work_dir: Path, name: str, **more: Any) -> Training:
    job = new_job(evidence, work_dir, "train", name, **more)
    death = run_job(evidence, data, job, work_dir)
    return read(Training, job, death, evidence.params.verify.limits)


def tokenize(evidence: Evidence, data: Path, scratch: Path) -> Ids:
    """Makes ids of the reference's texts without the source."""
    work_dir, texts = scratch / "tokenizers", evidence.checkpoint / "reference" / TEXTS
    name = next(iter(evidence.promises))
    job = new_job(evidence, work_dir, "tokenize", name, texts=str(texts.resolve()))
    death = run_job(evidence, data, job, work_dir)
    return read(Ids, job, death, evidence.params.verify.limits)


def new_job(
    evidence: Evidence, work_dir: Path, task: supervisor.Task, name: str, **more: Any
) -> Job:
    """Returns the job of a process that is given all batches of the reference; `more` are fields
    of Job."""
    reference = evidence.checkpoint / "reference"
    return supervisor.new_job(
        work_dir,
        task,
        name,
        complete_model=evidence.complete_model,
        batches={
            batch: reference / f"{batch}.npz" for batch in {**evidence.baseline, **evidence.wide}
        },
        training=reference / "training.npz",
        threads=evidence.params.train.threads,
        refused=[] if more.get("source") else evidence.sources,
        **more,
    )


def run_job(evidence: Evidence, data: Path, job: Job, work_dir: Path) -> str | None:
    """Returns how it died if it left no report."""
    places = (evidence.complete_model, evidence.checkpoint / "reference", data / "test")
    readable = [path for place in places for path in supervisor.with_link_targets(place)]
    readable += [Path(job.source)] if job.source else []
    limits, imports = evidence.params.verify.limits, declared(job.format).imports
    return supervisor.run(job, work_dir, readable, limits, imports)


def import_metrics(train: Train) -> None:
    """Imports them while the processes run; what is wrong with one is told when it is scored."""
    for name, config in train.metrics.items():
        with contextlib.suppress(ParamsError):
            metric(config, name, None)
