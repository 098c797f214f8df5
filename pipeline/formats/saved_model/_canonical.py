"""Same model, same bytes: what depends on process and machine is left out or numbered anew.

TensorFlow numbers functions, gradients, tables and captured tensors from counters of the process.
"""

import re
from pathlib import Path
from typing import Any

from .._lookup_tables import number_tables
from ._files import read_graphs
from ._graph import called, closure, functions_by_name, named_by_objects, nodes
from ._rename import rename

COUNTED = re.compile(
    r"((?:CustomGradient|PartitionedCall)-|\bkey_value_init|_(?=\d+___redundant_placeholder))\d+"
)
"""Names in texts that a counter of the process ends."""
TABLE = re.compile(r"(Mutable)?HashTableV2")


def canonicalise(folder: Path) -> None:
    """Writes the graph anew; the fingerprint, which holds a random number, is left out."""
    assets = sorted(path.name for path in (folder / "assets").iterdir())
    if assets:
        raise ValueError(f"reads {assets} while loading; give vocabularies as lists, not as files")
    content = read_graphs(folder)
    for graph in content.meta_graphs:
        forget(graph)
        _forget_gradients(graph)
        _renumber(graph)
    (folder / "saved_model.pb").write_bytes(content.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    (folder / "assets").rmdir()


def forget(graph: Any) -> None:
    """Removes devices, where in the source a node came from, numbers as names, and how a metric's
    variables are summed over several devices, for there is one."""
    for item in graph.object_graph_def.nodes:
        if item.WhichOneof("kind") == "variable":
            item.variable.ClearField("synchronization")
            item.variable.ClearField("aggregation")
    for node in nodes(graph):
        node.ClearField("experimental_debug_info")
        node.attr.pop("config_proto", None)
        _forget_number(node.attr)
    for function in graph.graph_def.library.function:
        for argument in function.arg_attr.values():
            _forget_number(argument.attr)


def _forget_number(attributes: Any) -> None:
    """Removes the name of a captured tensor, which is a number; inputs have names of their own."""
    label = "_user_specified_name"
    if label in attributes and attributes[label].s.isdigit():
        del attributes[label]


def _forget_gradients(graph: Any) -> None:
    """Removes gradients of the step's own operators, and then those that nothing refers to.

    None is taken through a step, in which Keras' optimizers (3.15) leave one of a gradient:
    TensorFlow saves only the first and warns of the other at every load.
    """
    library, attribute = graph.graph_def.library, "_gradient_op_type"
    for function in library.function:
        if function.signature.name.startswith("__inference_train_step_"):
            for node in function.node_def:
                node.attr.pop(attribute, None)
    gradients = {each.registered_op_type: each for each in library.registered_gradients}
    used = _used_gradients(functions_by_name(graph), gradients, attribute)
    del library.registered_gradients[:]
    for kind, gradient in gradients.items():
        if kind in used:
            library.registered_gradients.append(gradient)
        else:
            graph.object_graph_def.concrete_functions.pop(gradient.gradient_func, None)


def _used_gradients(
    functions: dict[str, Any], gradients: dict[str, Any], attribute: str
) -> set[str]:
    """Returns the gradients that functions refer to, other than those that no one uses."""
    apart = {gradient.gradient_func for gradient in gradients.values()}
    queue = [name for name in functions if name not in apart]
    used: set[str] = set()
    for name in queue:
        for node in functions[name].node_def:
            kind = node.attr[attribute].s.decode() if attribute in node.attr else ""
            if kind in gradients and kind not in used:
                used.add(kind)
                queue.append(gradients[kind].gradient_func)
    return used


def _renumber(graph: Any) -> None:
    """Numbers functions, gradients and tables in the order in which they are met."""
    functions = functions_by_name(graph)
    new = _new_names(_in_order(graph, functions))
    contents = {new[name]: functions[name].SerializeToString() for name in new}
    library = graph.graph_def.library
    del library.function[:]
    for name in sorted(contents):
        library.function.add().ParseFromString(contents[name])
    number_tables(node for node in nodes(graph) if TABLE.fullmatch(node.op))
    rename(graph, lambda text: new.get(text, text))
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"{match[1]}{len(numbers)}")

    rename(graph, lambda text: COUNTED.sub(number, text))


def _in_order(graph: Any, functions: dict[str, Any]) -> dict[str, None]:
    """Returns each function once: those that the endpoints call, then those that the objects name,
    then gradients, and all that these call."""
    gradients = graph.graph_def.library.registered_gradients
    roots = [name for node in graph.graph_def.node for name in called(node)]
    roots += named_by_objects(graph)
    roots += sorted(gradient.gradient_func for gradient in gradients)
    return closure(roots, functions)


def _new_names(names: dict[str, None]) -> dict[str, str]:
    """Returns each name with its numbers left out, and one from 0 behind it."""
    counts: dict[str, int] = {}
    result: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"_\d+", "", name)
        counts[stem] = counts.get(stem, -1) + 1
        result[name] = f"{stem}_{counts[stem]}"
    return result
