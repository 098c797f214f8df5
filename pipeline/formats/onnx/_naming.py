"""Names in a graph follow from the model alone: tf2onnx counts up within a process.

Variables go by their Keras path, all else by number.
"""

import itertools
from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from .._examples import names_of_axes
from ..dimensions import Dimensions


def rename(
    graph: Any,
    model: Any,
    taken: list[str],
    inputs: list[str],
    outputs: list[str],
    dimensions: Dimensions,
) -> dict[str, str]:
    """Renames all that is in the graph, whose inputs are `taken`; returns each node's new name and
    its old one."""
    by_name = {value.name: value for value in graph.inputs}
    graph.inputs[:] = [by_name[name] for name in taken if name in by_name]
    origins = _number(graph)
    _name_weights(graph, model)
    for values, names, kind in (
        (graph.inputs, inputs, "input"),
        (graph.outputs, outputs, "output"),
    ):
        axes = {name: names_of_axes(dimensions, f"{kind}.{name}") for name in names}
        _name_side(values, axes)
    return origins


def _name_weights(graph: Any, model: Any) -> None:
    """Gives constants the path of the variable that they equal, and puts them in order. Where
    several variables have one path, as in layers of one name, all but the first are numbered."""
    paths: dict[Any, list[str]] = {}
    for variable in model.variables:
        paths.setdefault(_content(np.asarray(variable)), []).append(variable.path)
    for value in sorted(graph.initializers.values(), key=lambda each: str(each.name)):
        same = paths.get(_content(value.const_value.numpy()), [])
        if same:
            value.name = _free(same.pop(0), graph.initializers)
    in_order = sorted(graph.initializers.items())
    graph.initializers.clear()
    for _, value in in_order:
        graph.initializers.add(value)


def _free(path: str, taken: Container[str]) -> str:
    """Returns the path, or the path with the first number that is not taken."""
    names = (f"{path}_{n}" if n else path for n in itertools.count())
    return next(name for name in names if name not in taken)


def _content(array: np.ndarray) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.tobytes()


def _name_side(values: Any, axes: Mapping[str, Mapping[int, str]]) -> None:
    """Names inputs or outputs, and the axes that vary, their rows among them."""
    import onnx_ir

    for value, (name, known) in zip(values, axes.items(), strict=True):
        value.name = name
        if value.shape is not None:
            sizes = [d if isinstance(d, int) else f"{name}_{n}" for n, d in enumerate(value.shape)]
            value.shape = onnx_ir.Shape([known.get(n, size) for n, size in enumerate(sizes)])


def _number(graph: Any, prefix: str = "") -> dict[str, str]:
    """Numbers nodes and values in the order of the graph, of graphs inside it as well; returns each
    node's new name and its old one."""
    origins: dict[str, str] = {}
    graph.name = f"{prefix}graph"
    _number_constants(graph, prefix)
    for n, node in enumerate(graph):
        name = f"{prefix}{node.op_type}_{n}"
        node.name, origins[name] = name, node.name or ""
        for m, value in enumerate(node.outputs):
            value.name = f"{name}.{m}" if m else name
            if not value.is_graph_output():
                value.shape = value.type = None
        for attribute in node.attributes.values():
            if attribute.type.name == "GRAPH":
                inner = f"{name}/{attribute.name}/"
                for m, value in enumerate(attribute.value.inputs):
                    value.name = f"{inner}input_{m}"
                origins |= _number(attribute.value, inner)
    return origins


def _number_constants(graph: Any, prefix: str) -> None:
    """Numbers constants by first use, and drops those of none: tf2onnx keeps them in sets, whose
    order changes from process to process."""
    constants = {id(value) for value in graph.initializers.values()}
    inputs = (value for node in graph.all_nodes() for value in node.inputs)
    used = {id(value): value for value in inputs if id(value) in constants}
    for n, value in enumerate(used.values()):
        value.name = f"{prefix}constant_{n}"
    for value in list(graph.initializers.values()):
        if id(value) not in used and not value.is_graph_output():
            del graph.initializers[value.name]
