"""From PyTorch, torch's own exporter translates.

Its optimizer is off, since folding batch norm makes new weights that lie nowhere yet; runtimes fold
on loading.
"""

import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

from .._examples import Examples, examples
from .._onnx_checks import drop_checks
from .._onnx_export import TORCHVISION, silenced
from .._onnx_numbers import promote
from .._torch_errors import at, in_one_line
from .._torch_tracing import traced
from ..contract import Arrays
from ..dimensions import Dimensions
from ._attention import give_four_axes
from ._negative import refuse_negative

if TYPE_CHECKING:
    from torch import nn

EXAMPLE_ROWS = 3
UNKNOWN = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.]+)', overload='(\w+)'\)>")
PACKED = "aten._pack_padded_sequence.default"
WAY_OUT = "; write it with other functions, or leave onnx out"
LARGEST_FOLDED = 1024  # bytes


def translate(
    model: "nn.Module", inputs: Arrays, outputs: list[str], dimensions: Dimensions
) -> Any:
    """Returns the graph as an onnx_ir.Model.

    torch's own program is made first and handed over: given the module, torch.onnx.export would
    answer a model that holds for one number of rows alone by fixing that number, without a word.
    """
    import torch

    given = examples(dimensions, input=inputs)
    with torch.no_grad():  # a mask that asks for a gradient has no ONNX
        program = _capture(model, given)
    try:
        with torch.no_grad(), silenced(logging.ERROR, TORCHVISION), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            translated = torch.onnx.export(
                program,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes=given.names_of_axes(),
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        told = in_one_line(error)
        if unknown := UNKNOWN.search(told):
            told = _lacking(program, ".".join(unknown.groups()))
        raise ValueError(f"onnx: no ONNX for this model: {told}") from error
    assert translated is not None  # with dynamo=True it never is
    count = len(translated.model.graph.outputs)
    if count != len(outputs):
        raise ValueError(f"onnx: forward returned {count} values, expected one each for {outputs}")
    _fold(translated.model)
    _drop_faulty_biases(translated.model)
    return translated.model


def _capture(model: "nn.Module", given: Examples) -> Any:
    """Returns torch's program for any number of rows."""
    if any(module.training for module in model.modules()):
        raise ValueError("onnx: found the model in training mode, expected model.eval()")
    tensors, shapes = given.tensors(EXAMPLE_ROWS), given.shapes()
    program = traced(model, tensors, shapes, "onnx: this model")
    refuse_negative(program)
    give_four_axes(program)
    drop_checks(program)
    promote(program)
    if any(str(node.target) == PACKED for node in program.graph.nodes):
        raise ValueError(f"onnx: no ONNX for this model: {_lacking(program, PACKED)}")
    return program


def _lacking(program: Any, operator: str) -> str:
    """Returns what is said where ONNX has nothing for an operator of torch's."""
    nodes = [node for node in program.graph.nodes if str(node.target) == operator]
    return f"it has nothing for {operator}{at(nodes[0]) if nodes else ''}{WAY_OUT}"


def _drop_faulty_biases(model: Any) -> None:
    """Drops the bias that onnxscript (0.7.2, aten_conv3d) makes for a convolution in three
    dimensions without one: zeros of the shape [channels, 2], which no runtime takes. ONNX needs
    none."""
    import onnxscript.optimizer

    for node in model.graph.all_nodes():
        bias = node.inputs[2] if node.op_type == "Conv" and len(node.inputs) == 3 else None
        values = None if bias is None else bias.const_value
        if values is not None and len(values.shape) == 2 and not values.numpy().any():
            node.replace_input_with(2, None)
    onnxscript.optimizer.remove_unused_nodes(model)


def _fold(model: Any) -> None:
    """Computes what depends on no weight: shapes, casts of literals, a missing bias."""
    import onnxscript.optimizer

    stored = set(model.graph.initializers.values())

    def should_fold(node: Any) -> bool | None:
        by_shape = node.op_type in ("Shape", "Size", "CastLike")
        return None if by_shape or stored.isdisjoint(node.inputs) else False

    onnxscript.optimizer.fold_constants(
        model,
        input_size_limit=LARGEST_FOLDED,
        output_size_limit=LARGEST_FOLDED,
        should_fold=should_fold,
    )
    onnxscript.optimizer.remove_unused_nodes(model)
