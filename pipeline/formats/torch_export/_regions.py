"""A part of a step without gradient, out of which nothing is used: what is only logged, for one."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def give_results(program: "ExportedProgram") -> None:
    """Has each such part return the last tensor that it computes: torch (2.13) writes one that
    returns nothing, and cannot read it. It stays, for it may draw and change buffers."""
    from torch.fx import GraphModule

    for module in list(program.graph_module.modules()):
        if isinstance(module, GraphModule):
            for node in list(module.graph.nodes):
                if node.op == "call_function" and node.meta.get("val") == () and len(node.args) > 1:
                    _give_result(module, node)


def _give_result(module: Any, node: Any) -> None:
    import torch

    region = next(
        module.get_submodule(each.target)
        for each in node.args
        if getattr(each, "op", "") == "get_attr"
    )
    computed = [
        each
        for each in region.graph.nodes
        if each.op == "call_function" and isinstance(each.meta.get("val"), torch.Tensor)
    ]
    if computed:
        region.graph.output_node().args = ((computed[-1],),)
        region.recompile()
        node.meta["val"] = (computed[-1].meta["val"],)
    else:
        module.graph.erase_node(node)
        module.recompile()
