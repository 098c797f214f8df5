"""The task `train`: a format trains on from its own files."""

import gc
import time
from pathlib import Path

import numpy as np

from .inputs import arrays, inputs_of, is_target, rows_of_step
from .job import Job
from .loading import formats, set_threads, without_unused
from .report import Report, digest_of, peak_mib, plain


def train(job: Job, report: Report) -> None:
    """Takes the steps of the reference, and answers the batch `seven` after them."""
    directory = Path(job.complete_model)
    data = arrays(job.training)
    report.start("import")
    loader = formats().training_loader(job.format)
    start = report.start("loading it") - report.imports_took
    gc.disable()
    with without_unused(job):
        trainer = loader.load_training(directory)
    gc.enable()
    report.time("first_load_seconds", start)
    set_threads(job)
    start = time.perf_counter()
    for step, ends_epoch in enumerate(data["ends_epoch"]):
        report.start(f"step {step}")
        of_step = rows_of_step(data, step)
        inputs = {k.removeprefix("input."): v for k, v in of_step.items() if not is_target(k)}
        targets = {k.removeprefix("target."): v for k, v in of_step.items() if is_target(k)}
        report.keep("losses", {str(step): trainer.step(inputs, targets)})
        if ends_epoch:
            trainer.end_epoch(float(data.get("val_loss", np.nan)))
    report.time("steps_seconds", start)
    report.start("state")
    if job.digests:
        state = ((name, digest_of(plain(name, each))) for name, each in trainer.views())
        report.facts["digests"] = dict(state)
    else:
        report.keep("state", trainer.state())
    report.start("answers")
    report.keep("answers", trainer.predict(inputs_of(Path(job.batches["seven"]))))
    report.facts["timing"]["peak_mib"] = peak_mib()
    places = loader.optimizer_state(directory).values()
    report.facts["places"] = sorted({tuple(place[:3]) for place in places})
