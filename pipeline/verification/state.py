"""The state that a format's training led to, beside the reference's, of which large tensors have
digests alone."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Batches, Training
from pipeline.sandbox.worker.report import digest_of
from pipeline.verification.comparison import EXACT
from pipeline.verification.evidence import STATE, Evidence

BESIDE = (
    ", and its values were not recorded: export a format that promises equal bits beside it, and "
    "run `dvc repro --force checkpoint` where the reference is of another processor"
)


def is_the_reference(digests: Mapping[str, str], evidence: Evidence) -> bool:
    """Returns whether these are the names and digests of the reference's state."""
    values, known = evidence.trained[STATE], evidence.state_digests
    return digests.keys() == values.keys() | known.keys() and all(
        digest == (known[name] if name in known else digest_of(values[name]))
        for name, digest in digests.items()
    )


def by_digest(
    results: Batches, evidence: Evidence, tolerance: Tolerance
) -> tuple[list[str], Batches]:
    """Returns the faults of the tensors that the reference has by digest, and the results without
    them."""
    if STATE not in results:
        return [], results
    state, faults = dict(results[STATE]), []
    for name, digest in evidence.state_digests.items():
        array = state.pop(name, None)
        if array is None:
            faults.append(f"{STATE}/{name}: missing")
        elif digest_of(array) != digest:
            more = "" if tolerance == EXACT else BESIDE
            faults.append(f"{STATE}/{name}: its sha256 is not the reference's{more}")
    return faults, {**results, STATE: state}


def with_values(evidence: Evidence, values: Callable[[str], Training]) -> Evidence:
    """Returns the evidence with every tensor of the reference's state by value, where a format is
    compared with these: a training that came to their digests is taken once more, by `values`."""
    expected = evidence.trained.get(STATE)
    rounding = (evidence.training_tolerance(name) != EXACT for name in evidence.trainings)
    if not evidence.state_digests or not any(rounding):
        return evidence
    equal = [n for n, each in evidence.trainings.items() if each.results.get(STATE) is expected]
    state = values(equal[0]).results.get(STATE, {}) if equal else {}
    if not is_the_reference({name: digest_of(each) for name, each in state.items()}, evidence):
        return evidence
    trainings = {
        name: _holding(each, state) if name in equal else each
        for name, each in evidence.trainings.items()
    }
    trained = {**evidence.trained, STATE: state}
    return dataclasses.replace(evidence, trained=trained, state_digests={}, trainings=trainings)


def _holding(training: Training, state: Mapping[str, np.ndarray]) -> Training:
    return dataclasses.replace(training, results={**training.results, STATE: state})
