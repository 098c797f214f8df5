"""`state.json` says what the state is and where it lies.

It names inputs, outputs, the least rows of a step, each epoch's learning rates, and of every tensor
its name, the input and output of step.onnx that it is, its file, offset and size, dtype and shape.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._lookup import Lookup
from .._onnx_proto import DTYPES
from . import _masks
from ._files import FILE, OPTIMIZER, OWN, WEIGHTS

ALIGNED = 64
LARGEST_FILE, MOST_BRACKETS = 1 << 25, 1_000_000
LARGEST_NUMBER = 1 << 62
LONGEST_REASON = 400

Entry = dict[str, Any]


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Raises whatever a malformed file leads to as ValueError in one line that names it."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, RecursionError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise ValueError(f"onnx_train: {path}: {reason}") from error


def read(directory: Path) -> dict[str, Any]:
    """Raises ValueError unless each tensor lies, whole, in a file that holds states."""
    path = directory / FILE
    with refusing(path):
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("larger than it can be; do not load it")
        text = path.read_text()
        if text.count("[") + text.count("{") > MOST_BRACKETS:
            raise ValueError("nested or long beyond reason; do not load it")
        described: dict[str, Any] = json.loads(text)
        if {type(rate) for rates in described["learning_rates"] for rate in rates} - {int, float}:
            raise ValueError("its learning rates are no numbers; do not load it")
        _masks.check(described)
        for entry in described["states"]:
            _check(entry, directory)
    return described


def _check(entry: Entry, directory: Path) -> None:
    name, file = entry["name"], entry["file"]
    if file not in {OWN, *WEIGHTS, *OPTIMIZER}:
        raise ValueError(f"{name} lies in {file}; do not load it")
    path = directory / file
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{name} lies in {file}, which is no plain file; do not load it")
    numbers = [*entry["shape"], entry["offset"], entry["nbytes"]]
    sized = all(type(n) is int and 0 <= n < LARGEST_NUMBER for n in numbers)
    size = np.dtype(entry["dtype"]).itemsize if entry["dtype"] in DTYPES.values() else 0
    within = sized and entry["offset"] + entry["nbytes"] <= path.stat().st_size
    if not size or not within or math.prod(entry["shape"]) * size != entry["nbytes"]:
        raise ValueError(f"{name} is not whole in {file}; do not load it")


def load_array(directory: Path, entry: Entry) -> np.ndarray:
    dtype = np.dtype(entry["dtype"])
    count = entry["nbytes"] // dtype.itemsize
    array = np.fromfile(directory / entry["file"], dtype, count, offset=entry["offset"])
    return array.reshape(entry["shape"])


def write(directory: Path, described: dict[str, Any]) -> None:
    (directory / FILE).write_text(json.dumps(described, indent=1) + "\n")


def locate(entries: list[Entry], arrays: list[np.ndarray], directory: Path) -> None:
    """Says in each entry where its array lies; OWN gets what lies in no other file."""
    weights, optimizer = Lookup(directory, WEIGHTS), Lookup(directory, OPTIMIZER)
    rest = bytearray()
    for entry, array in zip(entries, arrays, strict=True):
        data = array.tobytes()
        lookup = optimizer if entry["name"].startswith("optimizer/") else weights
        place = lookup.find(data)
        if place is None:
            rest += bytes(-len(rest) % ALIGNED)
            place = OWN, len(rest)
            rest += data
        entry |= {"file": place[0], "offset": place[1], "nbytes": len(data)}
    if rest:
        (directory / OWN).write_bytes(rest)
