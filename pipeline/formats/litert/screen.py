"""Refuses files that LiteRT's own operators alone could not run, before anything loads them.

operators.txt, fields.txt and values.txt name what a file may hold.
"""

import math
import struct
from pathlib import Path

import numpy as np

from . import _schema as schema
from ._flatbuffer import Table, root
from ._names import FILE
from ._parts import KINDS, check_fields, check_metadata, operator_codes
from ._references import check_graphs, check_signatures

LARGEST_FILE, LARGEST_TENSOR, MOST_PARTS = 1 << 31, 1 << 32, 1_000_000
LONGEST_NAME = 200  # of what an error repeats


def screen(directory: Path) -> None:
    """Raises ValueError unless all operators are built into LiteRT, every reference leads to what
    is in the file, and every constant is as large as its shape says.

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
    check_fields(model, "Model")
    check_metadata(model)
    codes = operator_codes(model)
    buffers = [_stored(buffer, len(content)) for buffer in model.tables(schema.BUFFERS)]
    graphs = list(model.tables(schema.GRAPHS))
    if not graphs:
        raise ValueError("holds no graph")
    parts = sum(graph.count(schema.TENSORS) + graph.count(schema.OPERATORS) for graph in graphs)
    if parts > MOST_PARTS:
        raise ValueError(f"holds over {MOST_PARTS} tensors and operators")
    check_graphs(graphs, codes)
    check_signatures(model, graphs)
    for graph in graphs:
        for tensor in graph.tables(schema.TENSORS):
            _check_tensor(tensor, buffers)


def _stored(buffer: Table, total: int) -> tuple[int, int]:
    """Returns where a buffer's bytes begin and how many it has, in the flatbuffer or behind it."""
    check_fields(buffer, "Buffer")
    offset, size = buffer.number(schema.OFFSET, "Q"), buffer.number(schema.SIZE, "Q")
    if size > 1 and not 1 < offset <= offset + size <= total:
        raise ValueError(f"a buffer of {size} bytes at {offset} is not in the file")
    return (offset, size) if size > 1 else buffer.vector(schema.DATA, 1)


def _check_tensor(tensor: Table, buffers: list[tuple[int, int]]) -> None:
    check_fields(tensor, "Tensor")
    for scales in tensor.inner(schema.QUANTIZATION):
        check_fields(scales, "QuantizationParameters")
    name, shape = tensor.text(schema.NAME, LONGEST_NAME), tensor.shape(schema.SHAPE)
    buffer, kind = tensor.number(schema.BUFFER, "I"), tensor.number(schema.KIND, "b")
    if str(kind) not in KINDS:
        raise ValueError(f"tensor {name!r} is of kind {kind}, expected one of {sorted(KINDS)}")
    size = math.prod(shape) * np.dtype(schema.DTYPES.get(kind, "uint8")).itemsize
    if any(length < 0 for length in shape) or size > LARGEST_TENSOR or buffer >= len(buffers):
        raise ValueError(f"tensor {name!r} has the shape {shape}")
    at, stored = buffers[buffer]
    if kind in schema.DTYPES and stored not in (0, size):
        raise ValueError(f"tensor {name!r} of shape {shape} has {stored} bytes")
    if kind == schema.TEXT and stored and not _are_texts(tensor.content, at, stored, size):
        raise ValueError(f"tensor {name!r} of shape {shape} has texts that are not all in it")


def _are_texts(content: bytes, at: int, stored: int, count: int) -> bool:
    """Tells whether a buffer holds that many texts: their number, where each begins, where the last
    one ends, and then they. LiteRT goes by these without a look at the buffer's end."""
    head = 4 * (count + 2)
    if stored < head or struct.unpack_from("<I", content, at)[0] != count:
        return False
    places = np.frombuffer(content, "<u4", count + 1, at + 4)
    return bool(places[0] == head and places[-1] <= stored and (places[1:] >= places[:-1]).all())
