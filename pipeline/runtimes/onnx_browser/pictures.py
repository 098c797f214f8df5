"""Which models get a page on which a person draws: those that tell square pictures of one colour
apart and can be trained on."""

import json
import math
from collections.abc import Mapping
from typing import Any

FLAT = ("image", "picture", "pixels")
"""Names of an input whose pixels stand one after the other: of another name they may be columns."""
LEAST_SIDE, LARGEST_SIDE, MOST_LABELS = 5, 64, 26


def described(schema: Mapping[str, Any]) -> str | None:
    """Returns what the page's program has to know, as JSON; None for a model of anything else."""
    inputs, targets, decision = schema["inputs"], schema["targets"], schema.get("predictions")
    if len(inputs) != 1 or len(targets) != 1 or not decision or decision["kind"] != "argmax":
        return None
    (name, given), (target, truth) = next(iter(inputs.items())), next(iter(targets.items()))
    side, labels = _side(name, given), _labels(truth)
    if side is None or labels is None or schema.get("made_up"):
        return None
    answer = schema["outputs"][decision["output"]]
    if answer["shape"] != [len(labels)]:
        return None
    known = {"input": name, "dtype": given["dtype"], "shape": given["shape"], "side": side}
    known |= {"target": target, "labels": labels, "output": decision["output"]}
    return json.dumps(known)


def _side(name: str, given: Mapping[str, Any]) -> int | None:
    """Returns how many pixels a side has; None where the input is no such picture."""
    shape = given["shape"]
    if not all(type(size) is int for size in shape) or given["dtype"] not in ("float32", "uint8"):
        return None
    sizes = [size for size in shape if size != 1]
    if len(sizes) == 1 and name in FLAT:
        sizes = [math.isqrt(sizes[0])] * 2
    square = len(sizes) == 2 and sizes[0] == sizes[1] and math.prod(shape) == sizes[0] ** 2
    return sizes[0] if square and LEAST_SIDE <= sizes[0] <= LARGEST_SIDE else None


def _labels(truth: Mapping[str, Any]) -> list[str] | None:
    count = truth.get("classes")
    if truth["shape"] != [] or not count or count > MOST_LABELS:
        return None
    return [str(each) for each in truth.get("labels") or range(count)]
