"""Walks over a MetaGraphDef: its nodes, and which functions call which."""

from collections.abc import Iterator
from typing import Any


def nodes(graph: Any) -> Iterator[Any]:
    """Yields the nodes of the graph and of all its functions."""
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def functions_by_name(graph: Any) -> dict[str, Any]:
    return {function.signature.name: function for function in graph.graph_def.library.function}


def called(node: Any) -> Iterator[str]:
    """Yields what may be functions: the node's operator, and functions in its attributes."""
    yield node.op
    for name in sorted(node.attr):
        value = node.attr[name]
        yield from [value.func.name] if value.HasField("func") else []
        yield from (function.name for function in value.list.func)


def named_by_objects(graph: Any) -> Iterator[str]:
    """Yields the functions that saved objects are made with."""
    for item in graph.object_graph_def.nodes:
        yield from item.function.concrete_functions
        yield item.bare_concrete_function.concrete_function_name


def closure(roots: list[str], functions: dict[str, Any]) -> dict[str, None]:
    """Returns the names in `functions` that the roots reach, breadth first."""
    reached = dict.fromkeys(name for name in roots if name in functions)
    queue = list(reached)
    for name in queue:
        for node in functions[name].node_def:
            fresh = [each for each in called(node) if each in functions and each not in reached]
            reached.update(dict.fromkeys(fresh))
            queue += dict.fromkeys(fresh)
    return reached
