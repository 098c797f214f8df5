"""`model.pt2` is read here without torch: its signature, and where its tensors lie."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from .._json import read_json
from .._zip import spans
from ..contract import Place
from ..places import within
from ._names import FILE, MODEL, SIGNATURE

# torch._export.serde.schema.ScalarType. What numpy lacks is given as unsigned integers of its size.
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64"}
_DTYPES |= {6: "float16", 7: "float32", 8: "float64", 9: "uint32"}
_DTYPES |= {10: "complex64", 11: "complex128", 12: "bool", 13: "uint16"}
_DTYPES |= {28: "uint16", 34: "uint32", 35: "uint64"}


def dtype_of(tensor: dict[str, Any]) -> np.dtype:
    """Returns that of a tensor as the archive describes it."""
    return np.dtype(_DTYPES.get(tensor["dtype"], "uint8"))


def signature(directory: Path) -> dict[str, list[str]]:
    """Returns the names of `inputs` and `outputs`, in the program's order."""
    names: dict[str, list[str]] = _Archive(directory).json(f"extra/{SIGNATURE}")
    return names


def places(directory: Path) -> dict[str, Place]:
    """Returns where parameters, buffers and constants lie that are in one piece."""
    archive = _Archive(directory)
    places_by_name = {
        name: archive.place(folder, payload)
        for folder in ("weights", "constants")
        for name, payload in archive.json(_CONFIG.format(folder))["config"].items()
        if _contiguous(payload["tensor_meta"])
    }
    return within(places_by_name, directory, [FILE])


_CONFIG = f"data/{{0}}/{MODEL}_{{0}}_config.json"


def _contiguous(tensor: dict[str, Any]) -> bool:
    expected = 1
    for size, stride in zip(reversed(tensor["sizes"]), reversed(tensor["strides"]), strict=True):
        if size["as_int"] != 1 and stride["as_int"] != expected:
            return False
        expected *= size["as_int"]
    return True


class _Archive:
    """The members of the file, which every reader finds in the same places."""

    def __init__(self, directory: Path):
        self.path = directory / FILE
        self.members = spans(self.path)
        self.root = next(iter(self.members)).partition("/")[0]

    def json(self, member: str) -> Any:
        span = self.members[f"{self.root}/{member}"]
        return read_json(self.path, span, f"{self.path}: {member}")

    def place(self, folder: str, payload: dict[str, Any]) -> Place:
        start, _ = self.members[f"{self.root}/data/{folder}/{payload['path_name']}"]
        tensor = payload["tensor_meta"]
        dtype = dtype_of(tensor)
        count = math.prod(size["as_int"] for size in tensor["sizes"])
        start += tensor["storage_offset"]["as_int"] * dtype.itemsize
        return FILE, start, count * dtype.itemsize, dtype.name
