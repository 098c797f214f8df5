"""A number from which an integer tensor is taken, or that one divides (`1.0 - mask`, `7.5 // n`):
torch.onnx (2.13) promotes the first operand alone, which is no tensor, and finds no operator."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def promote(program: "ExportedProgram") -> None:
    """Has such a program compute with tensors of the answer's dtype, as PyTorch does."""
    import torch

    aten = torch.ops.aten
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target not in (aten.rsub.Scalar, aten.floor_divide.default):
            continue
        dtype = node.meta["val"].dtype
        with graph.inserting_before(node):
            for place, given in enumerate(node.args[:2]):
                if isinstance(given, torch.fx.Node):
                    if given.meta["val"].dtype != dtype:
                        node.update_arg(place, _call(graph, aten._to_copy.default, given, dtype))
                elif node.target is aten.floor_divide.default:
                    number = graph.call_function(aten.full.default, ([], given), {"dtype": dtype})
                    number.meta["val"] = node.meta["val"].new_empty(())
                    node.update_arg(place, number)
    program.graph_module.recompile()


def _call(graph: Any, operator: Any, given: Any, dtype: Any) -> Any:
    node = graph.call_function(operator, (given,), {"dtype": dtype})
    node.meta["val"] = given.meta["val"].to(dtype)
    return node
