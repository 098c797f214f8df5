"""A SavedModel that TensorFlow or Keras wrote elsewhere: its signature, and the folder made plain.

TensorFlow's messages are read, and nothing is restored or run. What names a class, a device or a
line of the source is cleared; what is left is screened before TensorFlow loads it.
"""

import shutil
from pathlib import Path
from typing import Any

from ..programs import Port
from ._canonical import forget
from ._files import DATA, INDEX, read_graphs
from ._screen_messages import VALUES, check_messages
from ._screen_nodes import check_nodes
from ._screen_objects import NAMED_BY_PEOPLE, check_objects
from ._screen_saver import Saver
from ._screen_variables import check_variables
from .screen import LIMITS, MALFORMED

SERVING, INITIAL = "serving_default", "__saved_model_init_op"
FILE = "saved_model.pb"
GENERIC = "_generic_user_object"
EXPORT = "tf.saved_model.save(module, path, signatures={'serving_default': module.serve})"


def read(path: Path) -> Any:
    """Returns the only graph's message. Raises ValueError, without the path, for what is none."""
    file = path / FILE
    if not file.is_file() or file.stat().st_size > LIMITS[FILE]:
        raise ValueError(f"holds no {FILE} that can be read, expected what {EXPORT} writes")
    try:
        content = read_graphs(path)
    except ValueError as error:
        raise ValueError(f"{FILE} is damaged or cut off ({error.__cause__})") from error
    if len(content.meta_graphs) != 1:
        raise ValueError(f"holds {len(content.meta_graphs)} graphs, expected one, for serving")
    if not content.meta_graphs[0].object_graph_def.nodes:
        raise ValueError(
            "is of TensorFlow 1, without objects; load it with tf.saved_model.load in TensorFlow 2 "
            f"where it was made, and save it again with {EXPORT}"
        )
    return content


def signature(content: Any) -> tuple[str, Any, list[str]]:
    """Returns the name of the signature that serves, the signature, and the names of others."""
    graph = content.meta_graphs[0]
    named = {k: each for k, each in graph.signature_def.items() if k != INITIAL}
    chosen = SERVING if SERVING in named else next(iter(named), None)
    if chosen is None or (chosen != SERVING and len(named) > 1):
        listed = ", ".join(sorted(named)) or "none"
        raise ValueError(f"has no signature {SERVING}; found {listed}; save it again with {EXPORT}")
    same = _outputs(named[chosen])
    others = [k for k in sorted(named) if k != chosen and _outputs(named[k]) != same]
    return chosen, named[chosen], others


def _outputs(of: Any) -> dict[str, str]:
    return {k: each.SerializeToString(deterministic=True) for k, each in of.outputs.items()}


def ports(tensors: Any) -> dict[str, Port]:
    """Returns what a signature says of its inputs or outputs, in the order of their names."""
    import tensorflow as tf

    result = {}
    for name in sorted(tensors):
        info = tensors[name]
        if info.WhichOneof("encoding") != "name":
            raise ValueError(f"{name} is {info.WhichOneof('encoding')}, expected a dense tensor")
        dims = [each.size if each.size > 0 else None for each in info.tensor_shape.dim]
        shape = None if info.tensor_shape.unknown_rank else tuple(dims)
        result[name] = Port(str(tf.as_dtype(info.dtype).name), shape)
    return result


def made_plain(path: Path, folder: Path) -> str:
    """Writes the SavedModel to `folder` without what TensorFlow would look up, and screens it;
    returns the name of its signature. Raises ValueError, without the path."""
    content = read(path)
    graph = content.meta_graphs[0]
    chosen, _, _ = signature(content)
    for name in [each for each in graph.signature_def if each not in (chosen, INITIAL)]:
        del graph.signature_def[name]
    if chosen != SERVING:
        graph.signature_def[SERVING].CopyFrom(graph.signature_def[chosen])
        del graph.signature_def[chosen]
    forget(graph)
    for item in graph.object_graph_def.nodes:
        _make_generic(item)
    (folder / "variables").mkdir(parents=True)
    (folder / FILE).write_bytes(content.SerializeToString(deterministic=True))
    _copy_variables(path, folder)
    _screen(content, folder)
    return chosen


def _make_generic(item: Any) -> None:
    """Makes an object that some class would be looked up for one of attributes alone, and leaves
    out those that begin with _."""
    kind = item.WhichOneof("kind")
    known = VALUES["tensorflow.SavedUserObject.identifier"]
    if kind == "user_object":
        item.user_object.ClearField("metadata")
        if item.user_object.identifier not in known:
            item.user_object.identifier = GENERIC
            item.ClearField("registered_name")
    if item.user_object.identifier in NAMED_BY_PEOPLE:
        return
    for field in (item.children, item.dependencies):
        stay = [
            type(each).FromString(each.SerializeToString())
            for each in field
            if not each.local_name.startswith("_") or each.local_name in VALUES["hidden"]
        ]
        del field[:]
        field.extend(stay)


def _copy_variables(path: Path, folder: Path) -> None:
    for name in (INDEX, DATA):
        source = path / name
        if source.is_symlink() or source.parent.is_symlink() or not source.is_file():
            raise ValueError(
                f"holds no plain file {name}, expected its variables in one, as TensorFlow saves"
            )
        if source.stat().st_size > LIMITS.get(name, source.stat().st_size):
            raise ValueError(f"{name} is too large to be an index")
        shutil.copyfile(source, folder / name)


def _screen(content: Any, folder: Path) -> None:
    graph = content.meta_graphs[0]
    try:
        check_objects(graph, folder)
        check_nodes(graph, Saver(graph, folder), folder)
        check_messages(content, folder)
        check_variables(folder)
    except MALFORMED as error:
        raise ValueError(f"{type(error).__name__}: {error}; do not load it") from error
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{folder}: ")) from error
