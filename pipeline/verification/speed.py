"""How fast formats answer, one after the other, where programs in other languages are timed: people
choose by numbers."""

import dataclasses
from pathlib import Path

from pipeline.files import temporary_folder
from pipeline.sandbox.reports import Answers, read
from pipeline.verification.answers import new_job, run_job
from pipeline.verification.evidence import Evidence


def collect(evidence: Evidence, data: Path) -> Evidence:
    """Returns the evidence with the speed of every format that answers without its source; nothing
    is measured where no program was carried."""
    if not evidence.ran:
        return evidence
    names = [name for name, each in evidence.without_source.items() if each.complete]
    with temporary_folder() as scratch:
        speeds = {name: _speed(evidence, data, name, scratch / name) for name in names}
    return dataclasses.replace(evidence, speeds={k: v for k, v in speeds.items() if v})


def _speed(evidence: Evidence, data: Path, name: str, work_dir: Path) -> dict[str, float]:
    """Returns what Ran.timing has, nothing where it came to no end: it has answered before."""
    job = new_job(evidence, work_dir, "time", name)
    death = run_job(evidence, data, job, work_dir)
    answers = read(Answers, job, death, evidence.params.verify.limits)
    return {} if answers.error else dict(answers.timing)
