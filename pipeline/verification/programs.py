"""What the model's programs in other languages answer to all batches of the reference."""

import dataclasses

from pipeline.complete_model import running
from pipeline.verification.evidence import Evidence


def collect(evidence: Evidence) -> Evidence:
    """Returns the evidence with the answers of each, one after the other, since they are timed."""
    ran = {}
    for name in evidence.runtimes:
        reference = evidence.checkpoint / "reference"
        batches = {batch: reference / f"{batch}.npz" for batch in evidence.baseline}
        limits, threads = evidence.params.verify.limits, evidence.params.train.threads
        steps = reference / "training.npz"
        more = (limits, threads, True, steps)
        ran[name] = running.answer(name, evidence.complete_model, batches, *more)
    return dataclasses.replace(evidence, ran=ran)
