"""ONNX has no assertion: torch.onnx (2.13) leaves them out, but not what they ask, and has no
operator for `_is_all_true`, which `torch._check_tensor_all` asks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def drop_checks(program: "ExportedProgram") -> None:
    """Takes out what a program asserts of tensors, with all that is computed for it alone; of
    numbers torch learns their bounds by it, so that this stays for torch.onnx, in plain words."""
    import torch

    aten = torch.ops.aten
    asserts = (aten._assert_async.default, aten._assert_async.msg)
    plain: dict[Any, Any] = {
        aten._is_all_true.default: aten.all.default,
        aten._is_any_true.default: aten.any.default,
    }
    graph = program.graph_module.graph
    asked = set()
    for node in reversed(graph.nodes):
        node.target = plain.get(node.target, node.target)
        if node.target in asserts or (node in asked and not node.users and not _acts(node)):
            asked.update(node.all_input_nodes)
            graph.erase_node(node)
    program.graph_module.recompile()


def _acts(node: Any) -> bool:
    """Returns whether a node is more than its answer, or none that is computed."""
    schema = getattr(node.target, "_schema", None)
    return node.op != "call_function" or schema is None or schema.is_mutable
