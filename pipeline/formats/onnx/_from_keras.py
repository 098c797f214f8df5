"""From Keras, tf2onnx translates what TensorFlow has frozen.

Keras' own export names captured constants (Normalization's mean) as inputs and loses lookup tables.
So its models go another way: traced for inference, variables and constants frozen, tables put in by
their content; then onnxruntime must answer as the model does.
"""

from typing import Any

from .._keras_compare import layers_that, quiet
from .._onnx_export import reason
from ..contract import Arrays
from ..dimensions import Dimensions
from ._freeze import Frozen, freeze
from ._layers import layer_at
from ._naming import rename

OPSET = 18  # the highest that tf2onnx 1.17 writes
ML_OPSET = 2


def translate(
    model: Any, inputs: Arrays, outputs: list[str], dimensions: Dimensions
) -> tuple[Any, dict[str, str]]:
    """Returns the graph as an onnx_ir.Model, and the operation of TensorFlow that each node is
    from.

    Of what hangs on a weight, batch norm's few numbers alone are folded, by freezing.
    """
    import onnx_ir
    from onnx import defs

    frozen = freeze(model, inputs, outputs, dimensions)
    translated = onnx_ir.from_proto(_convert(model, frozen))
    for node in translated.graph.all_nodes():
        domain = "" if node.domain == "ai.onnx" else node.domain
        if not defs.has(node.op_type, domain):
            at = layer_at(model, node.name)
            raise ValueError(f"onnx: no ONNX for TensorFlow's {node.op_type} in {at}")
    return translated, rename(
        translated.graph, model, frozen.inputs, list(inputs), outputs, dimensions
    )


def _convert(model: Any, frozen: Frozen) -> Any:
    """Returns an onnx.ModelProto, in which operators of TensorFlow are left that ONNX has not."""
    import tensorflow as tf
    import tf2onnx
    from onnx import helper

    with quiet("tf2onnx", "tensorflow"), tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(frozen.graph, name="")
            translated = tf2onnx.tfonnx.process_tf_graph(
                graph,
                continue_on_error=True,
                opset=OPSET,
                extra_opset=[helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
                input_names=frozen.inputs,
                output_names=frozen.outputs,
                initialized_tables=frozen.tables,
            )
            return tf2onnx.optimizer.optimize_graph(translated).make_model("main")
        except (ValueError, KeyError, RuntimeError) as error:  # NotImplementedError among them
            at = layers_that(model, lambda layer: bool(layer.weights))
            raise ValueError(f"onnx: {reason(error)}; the layers are {at}") from error
