"""`model.pt2` is read here without torch: its signature, and where its tensors lie."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._zip import data_offset
from ..contract import Place
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
    with zipfile.ZipFile(directory / FILE) as archive:
        names: dict[str, list[str]] = _json(archive, f"extra/{SIGNATURE}")
    return names


def places(directory: Path) -> dict[str, Place]:
    """Returns where parameters, buffers and constants lie that are in one piece."""
    with zipfile.ZipFile(directory / FILE) as archive:
        return {
            name: _place(archive, folder, payload)
            for folder in ("weights", "constants")
            for name, payload in _payloads(archive, folder)
            if _contiguous(payload["tensor_meta"])
        }


def _payloads(archive: zipfile.ZipFile, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _json(archive, f"data/{folder}/{MODEL}_{folder}_config.json")["config"].items()


def _contiguous(tensor: dict[str, Any]) -> bool:
    expected = 1
    for size, stride in zip(reversed(tensor["sizes"]), reversed(tensor["strides"]), strict=True):
        if size["as_int"] != 1 and stride["as_int"] != expected:
            return False
        expected *= size["as_int"]
    return True


def _place(archive: zipfile.ZipFile, folder: str, payload: dict[str, Any]) -> Place:
    member = f"{_root(archive)}/data/{folder}/{payload['path_name']}"
    tensor = payload["tensor_meta"]
    dtype = dtype_of(tensor)
    count = int(np.prod([size["as_int"] for size in tensor["sizes"]], dtype=np.int64))
    offset = data_offset(archive, archive.getinfo(member))
    offset += tensor["storage_offset"]["as_int"] * dtype.itemsize
    return FILE, offset, count * dtype.itemsize, dtype.name


def _json(archive: zipfile.ZipFile, member: str) -> Any:
    return json.loads(archive.read(f"{_root(archive)}/{member}"))


def _root(archive: zipfile.ZipFile) -> str:
    return archive.namelist()[0].split("/")[0]
