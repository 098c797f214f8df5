"""The index of variables: what the data file holds, and where.

It is a sorted string table of LevelDB's format with uncompressed blocks, its values are
TensorFlow's BundleEntryProto. Reading it takes no framework.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .._protobuf import Message, varint
from ..contract import Place
from ._files import DATA, FOLDER, INDEX

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8"}
DTYPES |= {8: "complex64", 9: "int64", 10: "bool", 14: "uint16", 17: "uint16", 18: "complex128"}
DTYPES |= {19: "float16", 22: "uint32", 23: "uint64"}
"""By tensorflow.DataType; what numpy lacks is an unsigned integer of its size."""
FOOTER, MAGIC = 48, 0xDB4775248B80FB57
LONGEST_KEY = 1 << 12


class Entry(NamedTuple):
    """Where a variable lies in the data file."""

    dtype: int
    """A tensorflow.DataType."""
    offset: int
    size: int


def entry(value: bytes) -> Entry:
    """Returns what the table says of a variable; ValueError for what is no BundleEntryProto."""
    message = Message(value)
    try:
        return Entry(message.integer(1), message.integer(4), message.integer(5))
    except (ValueError, LookupError) as error:
        raise ValueError(f"{FOLDER}/{INDEX}: malformed; export it again") from error


def key(group: str, name: str) -> str:
    """Returns what TensorFlow calls the variable `name` of the object `group` in the table."""
    return f"{group}/{name.replace('.', '..').replace('/', '.S')}{VALUE}"


def places(directory: Path, group: str) -> dict[str, Place]:
    """Returns where each variable of `group` lies, by its Keras path."""
    result: dict[str, Place] = {}
    for name, value in table(directory / FOLDER / INDEX):
        match = re.fullmatch(f"{group}/(.+){re.escape(VALUE)}", name.decode())
        if match:
            dtype, offset, size = entry(value)
            path = match[1].replace(".S", "/").replace("..", ".")
            result[path] = (f"{FOLDER}/{DATA}", offset, size, DTYPES.get(dtype, "uint8"))
    return result


def table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values; ValueError, LookupError or struct.error for what is no table."""
    content = path.read_bytes()
    footer = len(content) - FOOTER
    if footer < 0 or struct.unpack("<Q", content[-8:])[0] != MAGIC:
        raise ValueError(f"{FOLDER}/{INDEX}: not a table of variables; export it again")
    at = footer
    for _ in range(2):
        _, at = _varint(content, at)
    for _, handle in _block(content, *_handle(content, at)):
        yield from _block(content, *_handle(handle, 0))


def _handle(content: bytes, at: int) -> tuple[int, int]:
    """Returns offset and size of a block."""
    offset, at = _varint(content, at)
    size, _ = _varint(content, at)
    return offset, size


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values of a block.

    Each key gives how much of the one before it begins with; restarts and a type end the block.
    """
    block, compressed = content[offset : offset + size], content[offset + size]
    if compressed:
        raise ValueError(f"{FOLDER}/{INDEX}: compressed; export it again")
    (restarts,) = struct.unpack("<I", block[-4:])
    at, end, name = 0, size - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        name = name[:shared] + block[at : at + fresh]
        if len(name) > LONGEST_KEY or at + fresh + length > end:
            raise ValueError(f"{FOLDER}/{INDEX}: malformed; export it again")
        yield name, block[at + fresh : at + fresh + length]
        at += fresh + length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a place, and the place behind it."""
    try:
        return varint(content, at)
    except ValueError as error:
        raise ValueError(f"{FOLDER}/{INDEX}: malformed; export it again") from error
