"""`tf.train.Checkpoint`: an index, the data, and a description of the objects that were saved; also
what `save_weights` of Keras 2 wrote without a suffix."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError
from pipeline.frameworks._object_paths import TRAINABLE
from pipeline.text import escaped

from ._lazy import Lazy
from ._object_graph import COUNTER, Graph, optimizer_state, parse
from ._tf_index import FAULTS, SUFFIX, Index, indices, latest
from .contract import Foreign

TITLE = "TensorFlow checkpoint"


def recognizes(path: Path) -> bool:
    """Whether it is the index of one, or a folder with at least one."""
    return bool(indices(path))


def files(path: Path) -> list[Path]:
    """Returns the files of the checkpoint that the path, a prefix, an index or a folder, names.
    Raises DataError, one line."""
    index = _opened(path)
    return [index.path, *(index.data(number) for number in range(index.shards))]


def read(path: Path) -> Foreign:
    """Opens the checkpoint. Raises DataError, one line."""
    index = _opened(path)
    try:
        return _foreign(index.path, parse(index.objects()), index.tensors())
    except FAULTS as fault:
        raise _damaged(index.path, fault) from None


def _opened(path: Path) -> Index:
    """Returns the index: in a folder the latest, as its file `checkpoint` says."""
    found = indices(path)
    if path.is_dir():
        name = latest(path)
        chosen = [found[name]] if name in found else list(found.values())
    else:
        chosen = [each for name, each in found.items() if name.endswith(SUFFIX)]
    if len(chosen) != 1:
        names = ", ".join(escaped(name.removesuffix(SUFFIX)) for name in found)
        raise DataError(
            f"{path}: found the indices {names}, expected one that ends in {SUFFIX} and has its "
            "data beside it; name a folder with one checkpoint"
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


def _foreign(path: Path, graph: Graph, tensors: Mapping[str, Lazy]) -> Foreign:
    keys = {node.key for node in graph.nodes if node.key is not None}
    if lacking := sorted(keys ^ set(tensors)):
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
    held = {child for child in graph.nodes[0].children.items() if child[1] not in named}
    counters = [each for each, node in held if graph.nodes[node].key and each != COUNTER]
    if counters:
        shown = ", ".join(sorted(escaped(each[:200]) for each in counters))
        notes.append(f"left aside, for they are no part of the net: {shown}")
    listed = any(each.startswith(TRAINABLE) for each in weights)
    return Foreign(
        framework="keras",
        weights=weights,
        naming="keras_objects" if listed else "keras_2_objects",
        optimizer=None if optimizer is None else optimizer_state(graph, optimizer, tensors),
        notes=notes,
    )
