"""What each class weighs in the loss, as configured or by how rare it is in the training rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.config.reading import nearest
from pipeline.errors import ParamsError

AT_ONCE = 1 << 16
"""Rows that are counted at once."""


def class_weights(
    train: Train, schema: Mapping[str, Any], targets: Mapping[str, np.ndarray] | None
) -> tuple[float, ...] | None:
    """Returns a weight a class of the only target that has classes; `targets` are the training
    rows, without which balanced weights are ones, for a checkpoint to set. Raises ParamsError."""
    if train.class_weights is None:
        return None
    classed = {name: spec for name, spec in schema["targets"].items() if spec["classes"]}
    if len(classed) != 1:
        raise ParamsError(
            f"train.class_weights: found the targets {list(classed)} with classes, expected one"
        )
    ((name, spec),) = classed.items()
    if isinstance(train.class_weights, Mapping):
        return _named(train.class_weights, spec)
    if targets is None:
        return (1.0,) * int(spec["classes"])
    counts = _counts(targets[name], spec["classes"])
    weights: list[float] = (counts.sum() / (len(counts) * np.maximum(counts, 1))).tolist()
    return tuple(weights)


def _named(weights: Mapping[str, float], spec: Mapping[str, Any]) -> tuple[float, ...]:
    names = [str(each) for each in spec["labels"] or range(spec["classes"])]
    for name in weights:
        if name not in names:
            raise ParamsError(f"train.class_weights: found {name!r}; {nearest(name, names)}")
    if missing := [name for name in names if name not in weights]:
        raise ParamsError(f"train.class_weights: {missing[0]}: missing; give each class a number")
    return tuple(float(weights[name]) for name in names)


def _counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each class is there; labels that are none, as those left out, do not
    count."""
    counts = np.zeros(classes, np.int64)
    for start in range(0, len(labels), AT_ONCE):
        part = np.asarray(labels[start : start + AT_ONCE]).ravel()
        counts += np.bincount(part[(part >= 0) & (part < classes)], minlength=classes)
    return counts
