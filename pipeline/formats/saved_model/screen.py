"""Refuses a folder that could do more than compute, before TensorFlow loads it.

A SavedModel's graph can read and write files, print, and call into Python.
"""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ._files import DATA, FOLDER, INDEX, MEMBERS, SIGNATURE, read_graphs, read_signature
from ._graph import nodes
from ._index import DTYPES, table
from ._operators import check_operators

LIMITS = {"saved_model.pb": 1 << 30, INDEX: 1 << 26, SIGNATURE: 1 << 20}
"""In bytes, of files that are read before anything is known of them."""
LARGEST_CONSTANTS, ITEMSIZE = 1 << 28, 8  # in bytes
MALFORMED = (
    *(LookupError, TypeError, AttributeError, struct.error, RecursionError),
    *(UnicodeDecodeError, json.JSONDecodeError),
)
OBJECTS = {"_generic_user_object", "signature_map"} | {
    f"trackable_{kind}_wrapper" for kind in ("list", "dict", "tuple")
}
REGISTERED = {"", "tf.TrackableConstant", "tf.StaticHashTable", "tf.MutableHashTable"}


def screen(directory: Path) -> None:
    """Raises ValueError unless the folder holds known plain files, its graph known operators only,
    and each variable as many bytes as its shape says.

    It takes TensorFlow for its messages, and restores and runs nothing. How long a loop goes on,
    and how much memory operators take, cannot be known.
    """
    folder = directory / FOLDER
    _check_files(folder)
    content = read_graphs(folder)
    if len(content.meta_graphs) != 1:
        raise ValueError(f"{folder}: found {len(content.meta_graphs)} graphs, expected one")
    (graph,) = content.meta_graphs
    _check_objects(graph, folder)
    check_operators(graph, folder)
    _check_constants(graph, folder)
    try:
        _check_signature(read_signature(directory))
        _check_variables(folder)
    except MALFORMED as error:
        raise ValueError(f"{folder}: {type(error).__name__}: {error}; do not load it") from error


def _check_files(folder: Path) -> None:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    paths = {name: path for name, path in paths.items() if path.is_symlink() or not path.is_dir()}
    plain = all(path.is_file() and not path.is_symlink() for path in paths.values())
    if folder.is_symlink() or not plain or set(paths) != MEMBERS:
        wrong = sorted(set(paths) ^ MEMBERS) or sorted(map(str, paths.values()))
        raise ValueError(f"{folder}: found {wrong} amiss, expected plain files {sorted(MEMBERS)}")
    for name, limit in LIMITS.items():
        if paths[name].stat().st_size > limit:
            raise ValueError(f"{folder}: {name} is larger than {limit} bytes; do not load it")


def _check_objects(graph: Any, folder: Path) -> None:
    """Refuses files, collections of version 1, and objects made by a registered class."""
    files = [asset.filename for asset in graph.asset_file_def]
    old = set(graph.collection_def) - {"saved_model_main_op"}  # an operator's name
    if files or old:
        raise ValueError(
            f"{folder}: reads {files or sorted(old)} while loading, expected everything in the "
            "graph (its own export: give vocabularies as lists, not as files)"
        )
    for item in graph.object_graph_def.nodes:
        kind = item.user_object.identifier
        plain = item.registered_name in REGISTERED and not item.registered_saver
        if item.HasField("asset") or not plain or (kind and kind not in OBJECTS):
            raise ValueError(
                f"{folder}: holds an object of class {kind or item.registered_name!r}, "
                "expected plain variables, tables and functions; do not load it"
            )


def _check_constants(graph: Any, folder: Path) -> None:
    """Limits what constants unpack to: one value may stand for all of a shape."""
    total = 0
    for node in nodes(graph):
        for attribute in node.attr.values():
            for tensor in [attribute.tensor, *attribute.list.tensor]:
                sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
                if tensor.dtype:
                    total += max(0, math.prod(sizes) - tensor.ByteSize()) * ITEMSIZE
                if min(sizes, default=0) < 0 or total > LARGEST_CONSTANTS:
                    raise ValueError(
                        f"{folder}: the constant {node.name} has the shape {sizes}, which is not "
                        "stored; do not load it"
                    )


def _check_signature(signature: Any) -> None:
    names = [*signature["inputs"], *signature["outputs"]]
    names += signature.get("training", {}).get("seeds", [])
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{SIGNATURE} holds other than names")


def _check_variables(folder: Path) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto

    stored = (folder / DATA).stat().st_size
    for name, value in table(folder / INDEX):
        if not name:  # the entry of the table itself
            continue
        try:
            entry = BundleEntryProto.FromString(value)
        except DecodeError as error:
            raise ValueError(f"{folder}: {INDEX} is cut off; export it again") from error
        if not _is_whole(entry, stored):
            raise ValueError(
                f"{folder}: {name[:200].decode(errors='replace')!r} of {entry.size} bytes is not "
                "whole in the variables' file; do not load it"
            )


def _is_whole(entry: Any, stored: int) -> bool:
    """Tells whether a variable has the bytes of its shape, all within `stored` bytes."""
    count = math.prod(dimension.size for dimension in entry.shape.dim)
    size = count * np.dtype(DTYPES.get(entry.dtype, "uint8")).itemsize
    fits = count <= max(entry.size, 1) and (entry.dtype not in DTYPES or entry.size == size)
    within = 0 <= entry.offset <= entry.offset + entry.size <= stored
    return fits and within and not (entry.shard_id or entry.slices)
