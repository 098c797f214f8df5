"""An operation of TensorFlow that ONNX has no operator for becomes several that it has.

tensorflow_replacements.json says what stands for an operation: steps, each an operation with its
arguments, which are inputs of the operation (x0, x1), steps before (#0) or numbers. They are
rounded otherwise: log(1 + x) is 0 for the tiniest x. So the answers are compared as all are.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

STEPS: dict[str, list[list[Any]]] = json.loads(
    (Path(__file__).parent / "tensorflow_replacements.json").read_text()
)


def replace(graph: Any) -> None:
    """Replaces the operations of a GraphDef, in place; the last step has the operation's name."""
    nodes = [each for node in graph.node for each in _replaced(node)]
    del graph.node[:]
    graph.node.extend(nodes)


def _replaced(node: Any) -> Iterator[Any]:
    """Yields what stands for a node, or the node itself."""
    if node.op not in STEPS:
        yield node
        return
    inputs = [name for name in node.input if not name.startswith("^")]
    names: list[str] = []
    for number, (operation, *arguments) in enumerate(STEPS[node.op]):
        last = number + 1 == len(STEPS[node.op])
        names.append(node.name if last else f"{node.name}/step_{number}")
        given = []
        for place, argument in enumerate(arguments):
            if isinstance(argument, str):
                given.append(_named(argument, inputs, names))
                continue
            constant = _constant(f"{node.name}/number_{number}_{place}", argument, node)
            yield constant
            given.append(constant.name)
        yield _step(names[-1], operation, given, node)


def _named(argument: str, inputs: Sequence[str], steps: Sequence[str]) -> str:
    number = int(argument[1:])
    return inputs[number] if argument.startswith("x") else steps[number]


def _step(name: str, operation: str, inputs: Sequence[str], node: Any) -> Any:
    step = type(node)(name=name, op=operation, input=inputs, device=node.device)
    step.attr["T"].type = node.attr["T"].type
    return step


def _constant(name: str, value: float, node: Any) -> Any:
    import tensorflow as tf

    kind = node.attr["T"].type
    constant = type(node)(name=name, op="Const", device=node.device)
    constant.attr["dtype"].type = kind
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype=tf.as_dtype(kind)))
    return constant
