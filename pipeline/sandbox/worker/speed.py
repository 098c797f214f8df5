"""How fast a format answers: what programs in other languages measure of themselves (see
runtimes/contract.py), of the format's own library in Python."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .inputs import inputs_of
from .job import Job
from .loading import formats, set_threads, without_unused
from .report import Arrays, Report

WARM, TURNS = 3, 100
ROWS = (1, 32)

Predict = Callable[[Arrays], Arrays]


def measure(job: Job, report: Report) -> None:
    """Notes the seconds of loading it again, of the first answer, and the medians."""
    report.start("import")
    directory, loader = Path(job.complete_model), formats().loader(job.format)
    with without_unused(job):
        loader.load(directory)
    set_threads(job)
    start = report.start("load")
    predict: Predict = loader.load(directory)
    report.time("load_seconds", start)
    inputs = inputs_of(Path(job.batches["one"]))
    start = report.start("first answer")
    predict(dict(inputs))
    report.time("first_seconds", start)
    for rows in ROWS:
        many = {name: np.repeat(array[:1], rows, axis=0) for name, array in inputs.items()}
        report.facts["timing"][f"median_{rows}_seconds"] = _median(predict, many)


def _median(predict: Predict, inputs: Arrays) -> float:
    times = []
    for _ in range(WARM + TURNS):
        start = time.perf_counter()
        predict(dict(inputs))
        times.append(time.perf_counter() - start)
    return sorted(times[WARM:])[TURNS // 2]
