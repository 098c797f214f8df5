"""ONNX' Gather counts a negative index from the end, where torch's lookups refuse it: id -1 would
be answered as the last id.

So a negative index is made one too large, which runtimes refuse as torch does. Only where it comes
from an input: positions that the model counts itself need no look.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node


def refuse_negative(program: "ExportedProgram") -> None:
    """Puts that into the program, before each lookup by what an input says."""
    import torch

    aten = torch.ops.aten
    lookups = {  # argument of the table, of the axis (or the axis itself), of the index
        aten.embedding.default: (0, None, 1),
        aten.index_select.default: (0, 1, 2),
        aten.gather.default: (0, 1, 2),
    }
    graph = program.graph_module.graph
    given = set(program.graph_signature.user_inputs)
    for node in list(graph.nodes):
        if node.target not in lookups:
            continue
        table, axis, index = lookups[node.target]
        along = 0 if axis is None else node.args[axis]
        size = node.args[table].meta["val"].shape[along]
        if isinstance(size, int) and _comes_from(node.args[index], given):
            with graph.inserting_before(node):
                negative = _call(graph, aten.lt.Scalar, node.args[index], 0)
                guarded = _call(graph, aten.masked_fill.Scalar, node.args[index], negative, size)
            node.update_arg(index, guarded)
    program.graph_module.recompile()


def _comes_from(node: "Node", given: set[str]) -> bool:
    """Returns whether a tensor's values hang on those of an input; its shape alone makes
    numbers."""
    import torch

    waiting, seen = [node], set()
    while waiting:
        each = waiting.pop()
        if each in seen or not isinstance(each.meta.get("val"), torch.Tensor):
            continue
        if each.name in given:
            return True
        seen.add(each)
        waiting += each.all_input_nodes
    return False


def _call(graph: Any, operator: Any, *arguments: Any) -> Any:
    node = graph.call_function(operator, arguments)
    values = [each.meta["val"] if hasattr(each, "meta") else each for each in arguments]
    node.meta["val"] = operator(*values)
    return node
