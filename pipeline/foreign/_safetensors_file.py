"""Where tensors lie in a file of safetensors: a header that says it, and their bytes behind it."""

import json
import mmap
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DataError
from pipeline.text import escaped
from pipeline.untrusted import documents, limits

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "I16": ("int16", 2),
    "I32": ("int32", 4),
    "I64": ("int64", 8),
    "U16": ("uint16", 2),
    "U32": ("uint32", 4),
    "U64": ("uint64", 8),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
}
"""The format's name of a dtype -> torch's, and its bytes."""
HEADER = 100_000_000
"""Bytes of a header, as the format bounds it."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies."""

    path: Path
    start: int
    dtype: str
    shape: tuple[int, ...]
    size: int


def has_header(path: Path) -> bool:
    """Returns whether it begins with a length and the brace of a header, which no text does."""
    with path.open("rb") as file:
        head = file.read(10)
    if len(head) < 10 or head[8:9] != b"{" or head[9:10] not in (b'"', b"}", b" "):
        return False
    return int(struct.unpack("<Q", head[:8])[0]) <= HEADER


def mapped(place: Place) -> "Tensor":
    """Returns the tensor, mapped from the file; what is written to it stays in memory."""
    import torch

    dtype = getattr(torch, place.dtype)
    if not place.size:
        return torch.empty(place.shape, dtype=dtype)
    offset = place.start % mmap.ALLOCATIONGRANULARITY
    with place.path.open("rb") as file:
        length, start = place.size + offset, place.start - offset
        content = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY, offset=start)
    flat = torch.frombuffer(content, dtype=torch.uint8, count=place.size, offset=offset)
    if place.start % dtype.itemsize:  # written by a library that does not align
        flat = flat.clone()
    return flat.view(dtype).reshape(place.shape)


def places(path: Path) -> tuple[dict[str, Place], dict[str, str]]:
    """Returns where each tensor of a file lies, and what the file says beside them. Raises
    DataError unless they lie one behind the other and fill it."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = _header_length(file.read(8), size)
            header = documents.parse_json(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no mapping")
        said = header.pop("__metadata__", {})
        if not isinstance(said, dict) or not all(isinstance(v, str) for v in said.values()):
            raise ValueError("its __metadata__ are no texts by name")
        where = {name: _place(path, name, each, 8 + length) for name, each in header.items()}
        _demand_full(where.values(), 8 + length, size)
    except (ValueError, OSError, RecursionError) as fault:
        raise DataError(
            f"{path}: a damaged file of safetensors ({escaped(str(fault))[:200]}); copy it again, "
            "or write it again where it was made"
        ) from None
    return where, {key[:200]: value[: limits.TEXT] for key, value in said.items()}


def write(path: Path, tensors: Mapping[str, Callable[[], "Tensor"]]) -> None:
    """Writes a file of safetensors, of which one tensor is in memory at a time: each is called for
    its shape, and again for its values."""
    import torch

    known = {name: code for code, (name, _) in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, bring in tensors.items():
        tensor = bring()
        dtype = known[str(tensor.dtype).removeprefix("torch.")]
        end = at + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for bring in tensors.values():
            if (tensor := bring()).numel():
                flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
                file.write(flat.numpy().data)


def _header_length(head: bytes, size: int) -> int:
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
    if length > min(HEADER, size - 8):
        raise ValueError("it ends within its header")
    return int(length)


def _place(path: Path, name: str, entry: Any, behind: int) -> Place:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name[:100]}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name[:100]}: a dtype {str(dtype)[:20]}, which is not known")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name[:100]}: its shape or offsets are no numbers")
    kind, size = DTYPES[dtype]
    for each in shape:
        size *= each
    if offsets[1] - offsets[0] != size:
        raise ValueError(f"{name[:100]}: {dtype} {shape} takes {size} bytes, other than it says")
    return Place(path, behind + offsets[0], kind, tuple(shape), size)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 48 for v in values)


def _demand_full(where: Iterable[Place], start: int, size: int) -> None:
    """Raises ValueError where two tensors overlap, or something lies between or behind them."""
    for place in sorted(where, key=lambda each: (each.start, each.size)):
        if place.start != start:
            raise ValueError("its tensors overlap, or something lies between them")
        start += place.size
    if start != size:
        raise ValueError(f"it has {size} bytes, its header tells of {start}")
