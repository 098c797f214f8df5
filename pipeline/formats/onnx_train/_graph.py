"""A traced graph as ONNX, with its inputs in an order of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._examples import Examples, names_of_axes
from .._onnx_checks import drop_checks
from .._onnx_export import write
from .._onnx_numbers import promote
from ._capture import EXAMPLE_ROWS, complaints_about
from ._masks import MASKS, Mask, count

LARGEST_FOLDED = 1024  # bytes: larger constants are left to be computed


def write_graph(
    graph: Any,
    places: list[int],
    fixed: list[Any],
    given: Examples,
    inputs: list[str],
    outputs: list[str],
    path: Path,
    masks: Sequence[Mask] = (),
) -> set[str]:
    """Writes the graph; returns its outputs that are no inputs as they came.

    `places` are those of the graph's arguments among the inputs: first those of `fixed` shapes,
    then what is `given` of any number of rows. The last is all `masks`, where there are some.
    """
    import onnxscript.optimizer

    if masks:
        places, inputs = [*places, len(inputs)], [*inputs, MASKS]
    model = _translate(graph, places, fixed, given, inputs, outputs, masks)
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
    masks: Sequence[Mask],
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
    shapes = (*none, *given.shapes(1))
    names = (*none, *(names_of_axes(given.dimensions, name) for name in given.arrays))
    if masks:
        sizes = {name.partition(".")[2]: each for name, each in given.resized(EXAMPLE_ROWS).items()}
        values = sum(count(mask, sizes) for mask in masks)
        tensors = (*tensors, torch.zeros(values, dtype=torch.bool))
        shapes, names = (*shapes, {0: torch.export.Dim.AUTO}), (*names, {0: MASKS})
    with complaints_about("graph"):
        program = torch.export.export(Placed(), tensors, dynamic_shapes=(shapes,))
        drop_checks(program)
        promote(program)
        translated = torch.onnx.export(
            program,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(names,),
            dynamo=True,
            optimize=False,  # it takes an epsilon of 1e-8 for 0 and leaves it out
            verbose=False,
        )
    assert translated is not None  # with dynamo=True it never is
    return translated.model


def _unchanged(value: Any, came: set[int]) -> bool:
    node = value.producer()
    return id(value) in came or (node.op_type == "Identity" and id(node.inputs[0]) in came)
