"""What a stranger's schema says of the meaning of numbers: lists of texts, a clock, fillings."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.data.times import STATED

TEXTS, LENGTH = 1_000_000, 1000
"""Categories or labels of one array, and characters of each."""
OF_INPUT = {"time", "categories", "missing"}
"""Keys that an input may have beside dtype and shape."""


def known(spec: Mapping[str, Any]) -> bool:
    """Returns whether all that an input or target says of its meaning is of its kind."""
    return (
        ("time" not in spec or (isinstance(spec["time"], str) and _is_clock(spec["time"])))
        and ("categories" not in spec or _texts(spec["categories"]))
        and (spec.get("labels") is None or _texts(spec["labels"]))
        and ("missing" not in spec or _fills(spec["missing"], spec))
    )


def _is_clock(text: str) -> bool:
    return STATED.fullmatch(text) is not None


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= TEXTS
        and all(isinstance(each, str) and len(each) <= LENGTH for each in value)
    )


def _fills(value: Any, spec: Mapping[str, Any]) -> bool:
    """Returns whether it is keep, or a finite number for each element of a row."""
    if value == "keep":
        return True
    return spec["dtype"] in ("float32", "float64") and _nested(value, spec["shape"])


def _nested(value: Any, shape: list[int]) -> bool:
    if not shape:
        return isinstance(value, float) and math.isfinite(value)
    length, *rest = shape
    return isinstance(value, list) and len(value) == length and all(_nested(e, rest) for e in value)
