"""A module becomes a program of PyTorch's own operators, or is refused with the line at fault."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._examples import Examples
from ._errors import in_one_line
from ._regions import give_results

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

EXAMPLE_ROWS = 3  # neither 0, 1 nor the model's own sizes decide what is traced


def capture(model: "nn.Module", inputs: Examples, outputs: list[str]) -> "ExportedProgram":
    """Returns one program for every number of rows and size of dimensions; raises ValueError in
    one line when there is none."""
    return trace(model, inputs, inputs.shapes(), outputs, "this model")


def trace(
    module: "nn.Module",
    arguments: Examples,
    shapes: tuple[Any, ...],
    outputs: list[str],
    what: str,
) -> "ExportedProgram":
    """Returns the module's program; raises ValueError, which names `what`, when there is none.

    All of torch's tracing errors are RuntimeErrors, for which a module that ran before has no other
    cause.
    """
    import torch

    try:
        given = arguments.tensors(EXAMPLE_ROWS)
        program = torch.export.export(module, given, dynamic_shapes=shapes)
    except RuntimeError as error:
        reason = in_one_line(error)
        raise ValueError(f"torch_export: {what} cannot be traced: {reason}") from error
    give_results(program)
    _check_outputs(program, outputs)
    _check_operators(program)
    return program


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
                "library to load; write it with torch functions or leave this format out"
            )


def _nodes(program: "ExportedProgram") -> Iterator[Any]:
    from torch.fx import GraphModule

    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            yield from module.graph.nodes
