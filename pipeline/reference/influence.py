"""Weights that move the trained model's answers when they are changed, and the answers then.

With them `verify` can tell whether a format goes by its weights as the source does. Which weights
those are is measured: the largest may belong to a head that trains alone, or be scaled by 1e-6.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.reference.source import Arrays, Source, finite
from pipeline.sandbox.worker.perturbation import STRENGTHS, changed, fingerprint, is_enough

CHOSEN = 2
"""A format may hold one of them otherwise, as a convolution with its batch norm folded in."""
MOST_TRIED = 100


@dataclass(frozen=True, kw_only=True)
class Weight:
    """A weight with all others that have the same values, as tied ones do."""

    names: list[str]
    print_: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Change:
    weight: Weight
    strength: float
    moved: float
    """The largest distance of an answer from what it was."""
    enough: bool
    outputs: Arrays


def record(
    source: Source, inputs: Mapping[str, np.ndarray], path: Path, rounding: float = 0.0
) -> list[str]:
    """Writes the changes of the CHOSEN largest weights that move the answers to `inputs` enough, or
    the most, and which were tried in vain; returns what a person should know of these. The answers
    hang on `rounding` that much."""
    chosen, tried = measured(source, inputs, rounding)
    still = [change.weight for change in tried if change not in chosen]
    weights = [change.weight for change in chosen]
    outputs = {
        f"output.{name}": np.stack([change.outputs[name] for change in chosen])
        for name in (chosen[0].outputs if chosen else ())
    }
    outputs |= _described("moving", weights) | _described("still", still)
    outputs["strength"] = np.array([change.strength for change in chosen], np.float64)
    outputs["moved"] = np.array([change.moved for change in chosen], np.float64)
    np.savez(path, **outputs)  # type: ignore[arg-type]
    unmoved = [each.weight for each in tried if each.moved == 0 and each.strength == STRENGTHS[-1]]
    names = [name.removeprefix("net/") for weight in unmoved for name in weight.names]
    return [f"the weight {name}: no answer depends on it" for name in names]


def measured(
    source: Source, inputs: Mapping[str, np.ndarray], rounding: float = 0.0
) -> tuple[list[Change], list[Change]]:
    """Returns the changes chosen, and all that were tried, the largest weight first."""
    views = source.framework.views(source.training)
    state = {name: array for name, array in views if name.startswith("net/")}
    before = source.answers(inputs)
    tried: list[Change] = []
    for weight in islice(_by_size(state), MOST_TRIED):
        values = {name: state[name].copy() for name in weight.names}
        tried.append(_least_change(source, inputs, before, weight, values, rounding))
        enough = [change for change in tried if change.enough]
        if len(enough) == CHOSEN:
            return enough, tried
    moving = sorted(tried, key=lambda change: (not change.enough, -change.moved))
    return [change for change in moving[:CHOSEN] if change.moved > 0], tried


def _by_size(state: Mapping[str, np.ndarray]) -> Iterator[Weight]:
    """Yields the floating weights of a net's state, and those that numpy knows as 16 bits alone."""
    names: dict[tuple[int, int], list[str]] = {}
    for name, array in state.items():
        sixteen = array.dtype.kind == "u" and array.dtype.itemsize == 2
        if array.size and (array.dtype.kind in "fc" or sixteen):
            names.setdefault((array.nbytes, fingerprint(array)), []).append(name)
    for (size, print_), same in sorted(names.items(), key=lambda each: (-each[0][0], each[1])):
        yield Weight(names=same, print_=print_, bytes=size)


def _least_change(
    source: Source,
    inputs: Mapping[str, np.ndarray],
    before: Arrays,
    weight: Weight,
    values: Arrays,
    rounding: float,
) -> Change:
    """Returns the weakest change that moves the answers enough, or the strongest that leaves them
    finite; the weight is then what it was."""
    last = Change(weight=weight, strength=0.0, moved=0.0, enough=False, outputs=before)
    for strength in STRENGTHS:
        moved = {name: changed(array, strength) for name, array in values.items()}
        try:
            source.framework.set_weights(source.training, moved)
            answers = source.answers_or_refuses(inputs)
        finally:
            source.framework.set_weights(source.training, values)
        if isinstance(answers, str) or finite(answers) < finite(before):
            break
        distance, enough = _distance(answers, before), is_enough(answers, before, rounding)
        last = Change(
            weight=weight, strength=strength, moved=distance, enough=enough, outputs=answers
        )
        if enough:
            break
    return last


def _distance(after: Arrays, before: Arrays) -> float:
    """Returns the largest distance."""
    furthest = 0.0
    for name, old in before.items():
        if old.dtype.kind not in "fc":
            furthest = max(furthest, float((after[name] != old).any()))
            continue
        wide = np.complex128 if old.dtype.kind == "c" else np.float64
        known = np.isfinite(after[name]) & np.isfinite(old)
        distance = np.abs(np.where(known, after[name].astype(wide) - old.astype(wide), 0))
        furthest = max(furthest, float(distance.max(initial=0.0)))
    return furthest


def _described(kind: str, weights: list[Weight]) -> dict[str, np.ndarray]:
    return {
        kind: np.array([weight.names[0].removeprefix("net/") for weight in weights], np.str_),
        f"{kind}.print": np.array([weight.print_ for weight in weights], np.uint64),
        f"{kind}.bytes": np.array([weight.bytes for weight in weights], np.int64),
    }
