"""A traced graph as ONNX, with its inputs in an order of ours."""

from pathlib import Path
from typing import Any

from .._examples import Examples, names_of_axes
from .._onnx_export import write
from ._capture import EXAMPLE_ROWS, complaints_about

LARGEST_FOLDED = 1024  # bytes: larger constants are left to be computed


def write_graph(
    graph: Any,
    places: list[int],
    fixed: list[Any],
    given: Examples,
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> set[str]:
    """Writes the graph; returns its outputs that are no inputs as they came.

    `places` are those of the graph's arguments among the inputs: first those of `fixed` shapes,
    then what is `given` of any number of rows.
    """
    import onnxscript.optimizer

    model = _translate(graph, places, fixed, given, inputs, outputs)
    onnxscript.optimizer.fold_constants(
        model, input_size_limit=LARGEST_FOLDED, output_size_limit=LARGEST_FOLDED
    )
    onnxscript.optimizer.remove_unused_nodes(model)
    came = {id(each) for each in model.graph.inputs}
    changed = [each for each in model.graph.outputs if not _unchanged(each, came)]
    model.graph.outputs[:] = changed
    write(model, path)
    return {str(each.name) for each in changed}


def _translate(
    graph: Any,
    places: list[int],
    fixed: list[Any],
    given: Examples,
    inputs: list[str],
    outputs: list[str],
) -> Any:
    """Returns an onnx_ir.Model for any number of rows."""
    import torch

    class Placed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, *arguments: Any) -> Any:
            return self.graph(*(arguments[n] for n in places))

    tensors = (*fixed, *given.tensors(EXAMPLE_ROWS))
    none: tuple[dict[int, Any], ...] = ({},) * len(fixed)
    names = (names_of_axes(given.dimensions, name) for name in given.arrays)
    with complaints_about("graph"):
        program = torch.export.export(
            Placed(), tensors, dynamic_shapes=((*none, *given.shapes(1)),)
        )
        translated = torch.onnx.export(
            program,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=((*none, *names),),
            dynamo=True,
            optimize=False,  # it takes an epsilon of 1e-8 for 0 and leaves it out
            verbose=False,
        )
    assert translated is not None  # with dynamo=True it never is
    return translated.model


def _unchanged(value: Any, came: set[int]) -> bool:
    node = value.producer()
    return id(value) in came or (node.op_type == "Identity" and id(node.inputs[0]) in came)
