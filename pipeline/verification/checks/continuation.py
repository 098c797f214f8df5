"""Trained on without its source, a format that promises it becomes what the source would make."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Batches, Training
from pipeline.verification.comparison import EXACT, Difference, compare, same_bits
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result
from pipeline.verification.state import by_digest

FAR = 10.0
"""Times the tolerance, at least, that the steps must move the answers: less proves nothing."""


def check(evidence: Evidence) -> Result:
    """Compares losses, weights, optimizer's state and answers.

    A tolerance of zero asks for equal bits.
    """
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    if not evidence.trainings:
        return Result(summary="no format holds a training, and none is claimed", done=False)
    for name, training in evidence.trainings.items():
        tolerance = evidence.training_tolerance(name)
        faults += [Fault(fault, name) for fault in _faults(evidence, training, tolerance)]
        measured[name] = _measured(evidence, training, tolerance)
    return Result(faults=tuple(faults), measured=measured)


def _faults(evidence: Evidence, training: Training, tolerance: Tolerance) -> Iterator[str]:
    if training.at == "integrity":  # nothing was loaded, as self_contained tells
        return
    if training.error is not None:
        yield f"{training.at}: {training.error}"
        return
    for package in evidence.sources:
        if "is refused" not in (training.proofs.get(package) or ""):
            yield f"the package {package} was not refused, so it may have trained with its source"
    trained, expected = _apart(training.results, evidence.trained)
    faults, trained = by_digest(trained, evidence, tolerance)
    yield from faults
    if tolerance == EXACT:
        yield from same_bits(trained, expected)
    else:
        yield from compare(trained, expected, tolerance).faults
    moved, needed = _moved(evidence), FAR * (tolerance.atol + tolerance.rtol)
    if not moved > needed:
        yield _too_little(evidence, moved, needed)


def _too_little(evidence: Evidence, moved: float, needed: float) -> str:
    """Returns why the steps prove nothing: infinite answers and NaN have no distance."""
    answers = [*evidence.baseline["seven"].values(), *evidence.trained["answers"].values()]
    if not all(np.isfinite(each).all() for each in answers if each.dtype.kind in "fc"):
        return (
            "the answers before or after the steps are infinite or NaN, which proves nothing; "
            "lower train.lr, or give larger inputs where batch norm has few values to go by"
        )
    text = f"the steps move the answers by {moved:.3g}, expected more than {needed:.3g}"
    return f"{text}; so little proves nothing: raise train.lr or checkpoint.steps"


def _apart(found: Batches, expected: Batches) -> tuple[Batches, Batches]:
    """Returns both without the kinds that are the expected arrays themselves, as those are whose
    digests were equal."""
    kinds = {kind for kind, arrays in expected.items() if found.get(kind) is not arrays}
    others = {kind: arrays for kind, arrays in found.items() if kind not in expected}
    return (
        {kind: found[kind] for kind in kinds & found.keys()} | others,
        {kind: arrays for kind, arrays in expected.items() if kind in kinds},
    )


def _moved(evidence: Evidence) -> float:
    """Returns by how much the source's answers to `seven` changed."""
    before: Batches = {"answers": evidence.baseline["seven"]}
    return compare(before, {"answers": evidence.trained["answers"]}, EXACT).max_abs


def _measured(evidence: Evidence, training: Training, tolerance: Tolerance) -> dict[str, Any]:
    trained, apart = _apart(training.results, evidence.trained)
    differences = {kind: Difference() for kind in evidence.trained}
    differences |= {kind: compare(trained, {kind: arrays}, EXACT) for kind, arrays in apart.items()}
    losses = training.results.get("losses", {})
    return {
        "steps": len(evidence.steps["loss"]),
        "rows": evidence.steps["rows"].tolist(),
        "ends_epoch": np.flatnonzero(evidence.steps["ends_epoch"]).tolist(),
        "losses": [float(losses[key]) for key in losses],
        "losses_of_source": evidence.steps["loss"].tolist(),
        "tensors": len(evidence.trained["state"]) + len(evidence.state_digests),
        "moved": _moved(evidence),
        "max_abs_diff": {kind: each.max_abs for kind, each in differences.items()},
        "at": differences["state"].at,
        "atol": tolerance.atol,
        "rtol": tolerance.rtol,
    }
