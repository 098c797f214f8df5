"""A format's answers to the test split are scored one batch after the other, as it wrote them."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.errors import ParamsError
from pipeline.sandbox.reports import GIB
from pipeline.training.decision import Decision, from_mapping
from pipeline.training.metrics import Scores
from pipeline.untrusted import arrays
from pipeline.verification.evidence import Evidence


def decisions(evidence: Evidence) -> dict[str, Decision]:
    """Returns how each metric judges, as the checkpoint recorded it; before it did, all of them
    judged what predictions.csv has."""
    recorded, metrics = evidence.schema.get("decisions"), evidence.params.train.metrics
    if recorded is None:
        recorded = dict.fromkeys(metrics, evidence.schema["predictions"])
    return {name: from_mapping(recorded[name]) for name in metrics}


def scored(evidence: Evidence) -> list[str]:
    """Returns the outputs that metrics judge."""
    names = {each.output for each in decisions(evidence).values()}
    return [name for name in evidence.schema["outputs"] if name in names]


def score(
    evidence: Evidence, data: Path, written: Path, rows: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Returns the metrics, test/<name>, of what a format wrote of the test split in batches of so
    many rows; or none, and why its answers cannot be scored."""
    judges, names = decisions(evidence), scored(evidence)
    scores = Scores(evidence.params.train.metrics, judges)
    numbers = {each.output for each in judges.values() if each.classes is None}
    inputs, targets = prepared.split(data, "test")
    known = {**inputs, **targets}
    batches = _batches(written, names, evidence.params.verify.limits.memory_gib * GIB)
    try:
        for start in range(0, prepared.count(inputs), rows):
            batch = slice(start, start + rows)
            truths = prepared.rows_of(known, batch)
            outputs = next(batches, {})
            faults = list(_unfit(evidence, names, outputs, prepared.count(truths), numbers))
            if faults:
                return {}, tuple(faults)
            scores.add(truths, outputs, prepared.places_of(known, batch))
        if next(batches, None):
            return {}, ("test: found more rows than the test split has",)
        return {f"test/{name}": value for name, value in scores.values().items()}, ()
    except (ParamsError, arrays.ForeignArrays) as fault:
        return {}, (str(fault),)


def _batches(written: Path, names: list[str], largest: float) -> Iterator[dict[str, np.ndarray]]:
    if written.is_file():
        blocks = arrays.in_a_row(written, largest)
        while batch := list(itertools.islice(blocks, len(names))):
            yield dict(zip(names, batch, strict=False))


def _unfit(
    evidence: Evidence,
    names: list[str],
    outputs: Mapping[str, np.ndarray],
    rows: int,
    numbers: set[str],
) -> Iterator[str]:
    """Yields why a batch of answers cannot be scored."""
    for name in names:
        expected, answer = [rows, *evidence.schema["outputs"][name]["shape"]], outputs.get(name)
        if answer is None or not _has_shape(answer, expected):
            shape = "nothing" if answer is None else str(list(answer.shape))
            yield f"test/{name}: found {shape}, expected {expected}"
        elif name in numbers and answer.dtype.kind == "f" and not np.isfinite(answer).all():
            yield f"test/{name}: {int((~np.isfinite(answer)).sum())} values are not finite"


def _has_shape(array: np.ndarray, expected: list[int | str]) -> bool:
    """Returns whether an array has the shape; a dimension with a name varies."""
    sizes = zip(array.shape, expected, strict=False)
    return array.ndim == len(expected) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in sizes
    )
