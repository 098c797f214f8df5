"""Refuses files that LiteRT's own operators alone could not run, before anything loads them."""

import math
import struct
from pathlib import Path

import numpy as np

from . import _schema as schema
from ._flatbuffer import Table, root
from ._names import FILE

LARGEST_FILE, LARGEST_TENSOR, MOST_PARTS = 1 << 31, 1 << 32, 1_000_000
LONGEST_NAME = 200  # of what an error repeats


def screen(directory: Path) -> None:
    """Raises ValueError unless all operators are built into LiteRT, and every constant is as large
    as its shape says.

    It reads the flatbuffer's tables; no framework is loaded.
    """
    path = directory / FILE
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("larger than a flatbuffer can be")
        _check_model(path.read_bytes())
    except (ValueError, struct.error, OSError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:300]}; not loaded") from error


def _check_model(content: bytes) -> None:
    if content[4:8] != schema.MARK:
        raise ValueError("no LiteRT file")
    model = root(content)
    _check_operators(model)
    sizes = [_stored(buffer, len(content)) for buffer in model.tables(schema.BUFFERS)]
    if not model.count(schema.GRAPHS):
        raise ValueError("holds no graph")
    parts = 0
    for graph in model.tables(schema.GRAPHS):
        parts += graph.count(schema.TENSORS) + graph.count(schema.OPERATORS)
        if parts > MOST_PARTS:
            raise ValueError(f"holds over {MOST_PARTS} tensors and operators")
        for tensor in graph.tables(schema.TENSORS):
            _check_tensor(tensor, sizes)


def _check_operators(model: Table) -> None:
    custom, kinds = [], set()
    for code in model.tables(schema.CODES):
        custom.append(code.text(schema.CUSTOM_CODE, LONGEST_NAME))
        kinds.add(max(code.number(schema.DEPRECATED_CODE, "b"), code.number(schema.CODE, "i")))
    custom = [name for name in custom if name]
    outside = kinds & {schema.CUSTOM, schema.DELEGATE} or kinds - set(range(schema.LAST_BUILTIN))
    if custom or outside:
        raise ValueError(f"holds operators {custom or sorted(kinds)} that are not LiteRT's own")


def _stored(buffer: Table, total: int) -> int:
    """Returns how many bytes a buffer has, in the flatbuffer or behind it."""
    offset, size = buffer.number(schema.OFFSET, "Q"), buffer.number(schema.SIZE, "Q")
    if size > 1 and not 1 < offset <= offset + size <= total:
        raise ValueError(f"a buffer of {size} bytes at {offset} is not in the file")
    return size if size > 1 else buffer.vector(schema.DATA, 1)[1]


def _check_tensor(tensor: Table, sizes: list[int]) -> None:
    name, shape = tensor.text(schema.NAME, LONGEST_NAME), tensor.shape(schema.SHAPE)
    buffer, kind = tensor.number(schema.BUFFER, "I"), tensor.number(schema.KIND, "b")
    size = math.prod(shape) * np.dtype(schema.DTYPES.get(kind, "uint8")).itemsize
    if any(length < 0 for length in shape) or size > LARGEST_TENSOR or buffer >= len(sizes):
        raise ValueError(f"tensor {name!r} has the shape {shape}")
    plain = kind not in schema.PACKED and not tensor.has(schema.SPARSITY)
    if kind in schema.DTYPES and plain and sizes[buffer] not in (0, size):
        raise ValueError(f"tensor {name!r} of shape {shape} has {sizes[buffer]} bytes")
