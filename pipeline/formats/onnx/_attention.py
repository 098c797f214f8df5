"""torch's attention takes any number of leading axes, onnxscript's (0.7.2) four axes in all: what
has one less, or more, is brought to four and back."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram

AXES = 4


def give_four_axes(program: "ExportedProgram") -> None:
    """Does so where no mask has leading axes of its own."""
    import torch

    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is not torch.ops.aten.scaled_dot_product_attention.default:
            continue
        count = node.args[0].meta["val"].ndim
        mask = node.kwargs.get("attn_mask", node.args[3] if len(node.args) > 3 else None)
        if 2 < count != AXES and (mask is None or mask.meta["val"].ndim <= 2):
            with graph.inserting_before(node):
                answer = _brought(graph, node, count)
            node.replace_all_uses_with(answer)
            graph.erase_node(node)
    program.graph_module.recompile()


def _brought(graph: Any, node: Any, count: int) -> Any:
    """Returns the same answer as the node's, by way of four axes."""
    import torch

    aten, query = torch.ops.aten, node.args[0]
    if count < AXES:
        given = [_call(graph, aten.unsqueeze.default, each, 0) for each in node.args[:3]]
    else:
        last = count - AXES
        given = [_call(graph, aten.flatten.using_ints, each, 0, last) for each in node.args[:3]]
    answer = _call(graph, node.target, *given, *node.args[3:], **node.kwargs)
    if count < AXES:
        return _call(graph, aten.squeeze.dim, answer, 0)
    leading = [_call(graph, aten.sym_size.int, query, axis) for axis in range(count - AXES + 1)]
    return _call(graph, aten.unflatten.int, answer, 0, leading)


def _call(graph: Any, operator: Any, *arguments: Any, **named: Any) -> Any:
    from torch.fx.node import map_arg

    node = graph.call_function(operator, arguments, named)
    values = map_arg((arguments, named), lambda each: each.meta["val"])
    node.meta["val"] = operator(*values[0], **values[1])
    return node
