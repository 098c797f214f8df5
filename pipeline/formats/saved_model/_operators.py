"""Which operators a graph may hold: those of operators.txt, and its own functions.

operators.txt names those of TensorFlow 2.21 that touch neither files nor Python.
"""

import re
from pathlib import Path
from typing import Any

from ._graph import called, closure, functions_by_name, named_by_objects

OPERATORS = frozenset(Path(__file__).with_name("operators.txt").read_text().split())
CHECKPOINT = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
"""Allowed where a program asks TensorFlow to save or restore variables, nowhere that a model runs.
"""


def check_operators(graph: Any, folder: Path) -> None:
    """Raises ValueError for an operator that is not known, wherever it stands."""
    functions = functions_by_name(graph)
    for name in functions:
        if not re.search(r"_\d+$", name):  # as no operator's name ends
            raise ValueError(f"{folder}: function {name} could pass for an operator")
    running = closure(_roots(graph), functions)
    for node in graph.graph_def.node:
        _check_operator(node, functions, False, folder)
    for name, function in functions.items():
        for node in function.node_def:
            _check_operator(node, functions, name not in running, folder)


def _roots(graph: Any) -> list[str]:
    """Returns all functions that something but saving and restoring may call."""
    saver = {graph.saver_def.save_tensor_name.split(":")[0], graph.saver_def.restore_op_name}
    others = [node for node in graph.graph_def.node if node.name not in saver]
    gradients = graph.graph_def.library.registered_gradients
    return [
        *(name for node in others for name in called(node)),
        *named_by_objects(graph),
        *(gradient.gradient_func for gradient in gradients),
        *graph.object_graph_def.concrete_functions,
    ]


def _check_operator(node: Any, functions: dict[str, Any], saves: bool, folder: Path) -> None:
    known = node.op in OPERATORS or node.op in functions
    if not known and not (saves and node.op in CHECKPOINT):
        raise ValueError(
            f"{folder}: operator {node.op} of {node.name} is not known to leave files and Python "
            "alone; do not load it (its own export: write that layer with other functions)"
        )
