"""A module becomes a program of PyTorch's own operators, or is refused with the line at fault."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from .._examples import Examples
from .._torch_errors import at
from .._torch_tracing import traced
from ._regions import give_results

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

PREDISPATCH = "torch._functorch.predispatch"
EXAMPLE_ROWS = 3  # neither 0, 1 nor the model's own sizes decide what is traced


def capture(
    model: "nn.Module",
    inputs: Examples,
    outputs: list[str],
    changing: Callable[[], set[str]] = set,
) -> "ExportedProgram":
    """Returns one program for every number of rows and size of dimensions; raises ValueError in
    one line when there is none. A step is `changing` the buffers of these names."""
    return trace(model, inputs, inputs.shapes(), outputs, "this model", changing)


def trace(
    module: "nn.Module",
    arguments: Examples,
    shapes: tuple[Any, ...],
    outputs: list[str],
    what: str,
    changing: Callable[[], set[str]] = set,
) -> "ExportedProgram":
    """Returns the module's program; raises ValueError, which names `what`, when there is none."""
    given = arguments.tensors(EXAMPLE_ROWS)
    program = traced(module, given, shapes, f"torch_export: {what}", changing)
    give_results(program)
    _check_outputs(program, outputs)
    _check_operators(program)
    return cast("ExportedProgram", program)


def strip(program: "ExportedProgram") -> None:
    """Leaves the shapes alone: the rest is stack traces, source lines and class names."""
    for node in _nodes(program):
        node.meta = {key: value for key, value in node.meta.items() if key == "val"}


def _check_outputs(program: "ExportedProgram", outputs: list[str]) -> None:
    from torch.export.graph_signature import OutputKind, TensorArgument

    tree, signature = program.call_spec.out_spec, program.graph_signature
    flat = tree.is_leaf() or (
        tree.type in (tuple, list) and all(child.is_leaf() for child in tree.children())
    )
    answers = [each for each in signature.output_specs if each.kind == OutputKind.USER_OUTPUT]
    kinds = [type(each.arg) for each in answers]
    if not flat or len(kinds) != len(outputs) or set(kinds) != {TensorArgument}:
        returned = f"{len(kinds)} values as {tree}".replace("\n", " ")
        raise ValueError(
            f"torch_export: forward returned {returned}, expected one tensor each for {outputs}"
        )


def _check_operators(program: "ExportedProgram") -> None:
    from torch._ops import OpOverload

    for node in _nodes(program):
        if isinstance(node.target, OpOverload) and node.target.namespace not in ("aten", "prims"):
            raise ValueError(
                f"torch_export: operator {node.target} is not PyTorch's own and needs its "
                f"library to load{at(node)}; write it with torch functions or leave this format "
                "out"
            )
        if getattr(node.target, "__module__", "") == PREDISPATCH:
            raise ValueError(
                f"torch_export: torch.vmap{at(node)} is not held in any program; write it with a "
                "dimension more"
            )


def _nodes(program: "ExportedProgram") -> Iterator[Any]:
    from torch.fx import GraphModule

    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            yield from module.graph.nodes
