"""`tf.train.Checkpoint`: an index, the data, and a description of the objects that were saved; also
what `save_weights` of Keras 2 wrote without a suffix."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError
from pipeline.frameworks._object_paths import TRAINABLE
from pipeline.text import escaped

from ._lazy_array import LazyArray
from ._object_graph import COUNTER, Graph, optimizer_state, parse
from ._tf_index import FAULTS, SUFFIX, Index, indices, latest
from .contract import Foreign

TITLE = "TensorFlow checkpoint"
GIVES = "weights"
TABLE = ("", "-keys", "-values")
"""What follows on the key of a lookup table."""


def recognizes(path: Path) -> bool:
    """Returns whether it is the index of one, or a folder with at least one."""
    return bool(indices(path))


def read(path: Path) -> Foreign:
    """Opens the checkpoint. Raises DataError, one line."""
    index = _opened(path)
    try:
        return _foreign(index.path, parse(index.objects()), index.tensors())
    except FAULTS as fault:
        raise _damaged(index.path, fault) from None


def _opened(path: Path) -> Index:
    """Returns the index: in a folder the latest, as its file `checkpoint` says."""
    if not path.is_dir():
        raise DataError(
            f"{path}: an index, whose data lie in other files, expected the folder with all of "
            f"them; name {path.parent}"
        )
    indexes, name = indices(path), latest(path)
    chosen = [indexes[name]] if name in indexes else list(indexes.values())
    if len(chosen) != 1:
        names = ", ".join(escaped(each.removesuffix(SUFFIX)) for each in indexes)
        raise DataError(
            f"{path}: found the checkpoints {names}, expected one, or a file `checkpoint` that "
            "says which; put one into a folder of its own"
        )
    try:
        return Index(chosen[0])
    except FAULTS as fault:
        raise _damaged(chosen[0], fault) from None


def _damaged(path: Path, fault: Exception) -> DataError:
    said = escaped(" ".join(str(fault).split())[:200])
    return DataError(
        f"{path}: damaged, or no index of TensorFlow's ({said}), expected a whole checkpoint; get "
        "it again"
    )


def _foreign(path: Path, graph: Graph, tensors: Mapping[str, LazyArray]) -> Foreign:
    keys = {node.key for node in graph.nodes if node.key is not None}
    held = {f"{key}{part}" for node in graph.nodes for key in node.tables for part in TABLE}
    tables = held & set(tensors)
    if lacking := sorted(keys ^ (set(tensors) - tables)):
        raise DataError(
            f"{path}: {escaped(lacking[0][:200])} belongs to no object or is missing, expected "
            "arrays of the objects that it lists; get it again"
        )
    root, name = graph.root()
    optimizers = graph.optimizers()
    optimizer = optimizers[0] if len(optimizers) == 1 else None
    named = graph.names(root, optimizer)
    weights = {each: tensors[graph.key(node)] for node, each in named.items()}
    notes = [f"the net is the checkpoint's object {escaped(name[:200])}"] if name else []
    if len(optimizers) > 1:
        notes.append(f"it has {len(optimizers)} optimizers, of which none is taken")
    others = {child for child in graph.nodes[0].children.items() if child[1] not in named}
    counters = [each for each, node in others if graph.nodes[node].key and each != COUNTER]
    if counters:
        shown = ", ".join(sorted(escaped(each[:200]) for each in counters))
        notes.append(f"left aside, for they are no part of the net: {shown}")
    if tables:
        notes.append("it holds tables of words, which are not taken from this kind of checkpoint")
    listed = any(each.startswith(TRAINABLE) for each in weights)
    return Foreign(
        framework="keras",
        weights=weights,
        naming="keras_objects" if listed else "keras_2_objects",
        optimizer=None if optimizer is None else optimizer_state(graph, optimizer, tensors),
        notes=notes,
    )
