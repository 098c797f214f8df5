"""The other checks can fail: rows get different answers, and a changed weight is noticed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Answers
from pipeline.sandbox.worker.perturbation import is_enough
from pipeline.verification import influence
from pipeline.verification.comparison import compare, cut
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

FAR = 10.0
"""Times the tolerance: rows closer to each other could be exchanged without parity noticing."""

ROUNDING = 1e-6
"""Of the largest answer: less than that sets rows apart only by float32's rounding."""

SHARE = 0.1
"""Of how far the trained model's answers lie apart or move: a format that is off by no more does
not answer by chance, or by another weight, as the model does."""


def check(evidence: Evidence) -> Result:
    """Judges the first output of the batch `many`, and parity itself on a perturbed copy."""
    faults: list[Fault] = []
    measured: dict[str, dict[str, Any]] = {}
    for name, answers, tolerance in evidence.answered():
        apart, fault = _separation(evidence, answers, tolerance)
        faults += [Fault(fault, name)] if fault else []
        moved, fault = _perturbation(evidence, answers, tolerance)
        faults += [Fault(fault, name)] if fault else []
        measured[name] = {**apart, **moved}
    return Result(faults=tuple(faults), measured=measured)


def _separation(
    evidence: Evidence, answers: Answers, tolerance: Tolerance
) -> tuple[dict[str, Any], str | None]:
    """Returns what is measured, and the fault if any.

    Where the trained model itself answers all rows alike, that is no fault of the format's; it must
    then tell them apart as the model does, be it on far rows alone, and answer these alike, too,
    where the model does.
    """
    first = next(iter(evidence.schema["outputs"]))
    output = answers.outputs.get("many", {}).get(first, np.empty((0, 0)))
    own = evidence.baseline["many"][first]
    spread, needed = separation(output), _far(output, tolerance)
    measured: dict[str, Any] = {"row_spread": spread, "row_spread_needed": needed, "alike": None}
    if spread > needed:
        return measured, None
    text = f"rows of many/{first} differ by {spread:.3g}, expected more than {needed:.3g}"
    if separation(own) > needed:
        return measured, f"{text}; answers so alike prove nothing"
    theirs, ours = output, own
    for batch in (None, *evidence.wide):
        if batch is not None:
            theirs = _joined(theirs, answers.outputs.get(batch, {}).get(first, theirs[:0]))
            ours = _joined(ours, evidence.wide[batch][first])
        if _tells_apart(theirs, ours):
            rows = "the rows of many" if batch is None else "all but far rows"
            measured["alike"] = f"the trained model answers {rows} alike, and the format follows it"
            return measured, None
    if _is_alike(theirs, ours):
        measured["alike"] = "the trained model answers all rows alike, far ones too, and so here"
        return measured, None
    return measured, f"{text}; so does the trained model, and answers so alike prove nothing"


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the rows of both, as far as both go."""
    return np.concatenate([one[cut(other.shape)], other[cut(one.shape)]])


def _tells_apart(output: np.ndarray, own: np.ndarray) -> bool:
    """Returns whether rows differ from the first as the trained model's do, which must be by more
    than rounding."""
    spread, size = separation(own), float(np.abs(_finite(own)).max(initial=0.0))
    if output.shape != own.shape or not spread > ROUNDING * size:
        return False
    if own.dtype.kind not in "fc":
        return bool((output == own).all())
    theirs, ours = _finite(output), _finite(own)
    return bool(np.abs((theirs - theirs[:1]) - (ours - ours[:1])).max() <= SHARE * spread)


def _is_alike(output: np.ndarray, own: np.ndarray) -> bool:
    """Returns whether neither side's rows differ by more than rounding."""
    if output.shape != own.shape:
        return False
    size = float(np.abs(_finite(own)).max(initial=0.0))
    return max(separation(output), separation(own)) <= ROUNDING * size


def _finite(array: np.ndarray) -> np.ndarray:
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    return np.where(np.isfinite(wide), wide, 0.0)


def separation(output: np.ndarray) -> float:
    """Returns the largest distance between two rows' finite values in the same place."""
    rows = output.reshape(len(output), -1).astype(np.float64) if output.size else np.zeros((1, 1))
    rows = np.where(np.isfinite(rows), rows, np.nan)
    columns = ~np.isnan(rows).all(axis=0)
    spans = np.nanmax(rows[:, columns], axis=0) - np.nanmin(rows[:, columns], axis=0)
    return float(spans.max(initial=0.0))


def _far(output: np.ndarray, tolerance: Tolerance) -> float:
    if output.dtype.kind not in "fc":
        return 0.0
    size = float(np.abs(output[np.isfinite(output)]).max(initial=0.0))
    return max(FAR * (tolerance.atol + tolerance.rtol * size), ROUNDING * size)


def _perturbation(
    evidence: Evidence, answers: Answers, tolerance: Tolerance
) -> tuple[dict[str, Any], str | None]:
    """Returns what is measured, and the fault if any; a file that is refused is noticed, too."""
    measured: dict[str, Any] = {"perturbed": answers.weight, "perturbed_moved": None}
    measured |= {"perturbed_by": answers.strength, "followed": None}
    known = evidence.influence
    if known is not None and not known.weights:
        text = "no weight moves the trained model's answers"
        return measured, f"{text}, so nothing shows that the format goes by its weights"
    if answers.at == "weights":
        return measured, f"no weight could be perturbed: {answers.error}"
    if answers.error is not None:
        return measured | {"perturbed_refused": answers.error}, None
    moved = compare(answers.perturbed, answers.outputs, tolerance).max_abs
    measured["perturbed_moved"] = moved
    by = f"{answers.strength or 0:.0%} on the weight {answers.weight}"
    if not compare(answers.perturbed, evidence.baseline, tolerance).faults:
        if known is not None and _follows_little(known, answers, evidence):
            name, little = known.weights[answers.followed or 0], known.moved[answers.followed or 0]
            measured["followed"] = f"{name}, by {little:.3g}: no weight moves it by more"
            return measured, None
        text = f"{by} moves the answers by {moved:.3g}"
        return measured, f"{text}, which parity does not notice; lower verify.tolerance"
    if known is None or answers.followed is None:
        return measured, None
    measured["followed"] = known.weights[answers.followed]
    wanted = {influence.BATCH: known.answers(answers.followed)}
    allowed = SHARE * known.moved[answers.followed]
    given = Tolerance(atol=tolerance.atol + allowed, rtol=tolerance.rtol)
    for fault in _unfollowed(answers.perturbed, wanted, given):
        return (
            measured,
            f"{by} does not do to the format what it does to the trained model: {fault}",
        )
    return measured, None


def _follows_little(known: influence.Influence, answers: Answers, evidence: Evidence) -> bool:
    """Returns whether no weight moves the trained model enough for a rounding format, and this one
    moves as little, closer than parity looks."""
    if answers.followed is None:
        return False
    wanted, before = known.answers(answers.followed), evidence.baseline[influence.BATCH]
    rounding = evidence.schema.get("rounding", 0.0)
    if is_enough(wanted, {name: before[name] for name in wanted}, rounding):
        return False
    close = Tolerance(atol=SHARE * known.moved[answers.followed], rtol=0.0)
    return not _unfollowed(answers.perturbed, {influence.BATCH: wanted}, close)


def _unfollowed(
    perturbed: Mapping[str, Mapping[str, np.ndarray]],
    wanted: Mapping[str, Mapping[str, np.ndarray]],
    allowed: Tolerance,
) -> list[str]:
    """Returns where floating answers are not those of the trained model with the same change; a
    label may tip over a rounding error."""
    floats = {
        batch: {name: each for name, each in arrays.items() if each.dtype.kind in "fc"}
        for batch, arrays in wanted.items()
    }
    same = {b: {n: a for n, a in perturbed.get(b, {}).items() if n in floats[b]} for b in floats}
    return compare(same, floats, allowed).faults
