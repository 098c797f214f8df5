"""What the file of variables may hold: numbers and texts, each whole.

TensorFlow decodes a variant by the type that it names, and follows what the objects' own list says
of savers.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from .._protobuf import varint
from ._files import DATA, INDEX
from ._index import DTYPES, table
from ._messages import messages
from ._screen_messages import check_messages

TEXT = 7  # tensorflow.DataType
OBJECTS = b"_CHECKPOINTABLE_OBJECT_GRAPH"
CHECKSUM = 4  # bytes behind the lengths of texts


def check_variables(folder: Path) -> None:
    """Raises ValueError for what is not whole, lies elsewhere, or is more than numbers and texts.

    Also LookupError or struct.error where the index is none.
    """
    from google.protobuf.message import DecodeError

    bundle = messages("tensor_bundle")
    header_message, entry_message = bundle.BundleHeaderProto, bundle.BundleEntryProto
    try:
        rows = list(table(folder / INDEX))
        entries = dict(rows)
        if len(entries) < len(rows):
            raise ValueError(f"{folder}: {INDEX} names a variable twice; do not load it")
        header = header_message.FromString(entries.pop(b""))
        if (header.num_shards, header.endianness) != (1, header_message.LITTLE):
            raise ValueError(f"{folder}: {INDEX} tells of other files; do not load it")
        for name, value in entries.items():
            _check_entry(name, entry_message.FromString(value), folder)
        _check_objects(entry_message.FromString(entries[OBJECTS]), folder)
    except DecodeError as error:
        raise ValueError(f"{folder}: {INDEX} is cut off; export it again") from error


def _check_entry(name: bytes, entry: Any, folder: Path) -> None:
    if not _is_whole(entry, (folder / DATA).stat().st_size):
        raise ValueError(
            f"{folder}: {name[:200].decode(errors='replace')!r} of {entry.size} bytes is not "
            "whole in the variables' file; do not load it"
        )
    if entry.dtype not in DTYPES and entry.dtype != TEXT:
        raise ValueError(
            f"{folder}: {name[:200].decode(errors='replace')!r} is of kind {entry.dtype}, expected "
            "numbers or texts; do not load it"
        )


def _check_objects(entry: Any, folder: Path) -> None:
    """Holds the list of objects to fields.txt; it is a text among the variables."""
    if entry.dtype != TEXT or entry.shape.dim:
        raise ValueError(f"{folder}: {INDEX} has no list of objects; do not load it")
    with (folder / DATA).open("rb") as file:
        file.seek(entry.offset)
        content = file.read(entry.size)
    length, at = varint(content, 0)
    if at + CHECKSUM + length != entry.size:
        raise ValueError(f"{folder}: the list of objects is not whole; do not load it")
    graph = messages("trackable_object_graph").TrackableObjectGraph
    check_messages(graph.FromString(content[at + CHECKSUM :]), folder)


def _is_whole(entry: Any, stored: int) -> bool:
    """Tells whether a variable has the bytes of its shape, all within `stored` bytes."""
    count = math.prod(dimension.size for dimension in entry.shape.dim)
    size = count * np.dtype(DTYPES.get(entry.dtype, "uint8")).itemsize
    fits = count <= max(entry.size, 1) and (entry.dtype not in DTYPES or entry.size == size)
    within = 0 <= entry.offset <= entry.offset + entry.size <= stored
    return fits and within and not (entry.shard_id or entry.slices)
