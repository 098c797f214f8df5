"""A Keras model is frozen: traced for inference, without variables, with its tables' content."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._keras_compare import call, quiet, tensor_dtype
from ..contract import Arrays
from ..dimensions import Dimensions
from ._layers import NAMES, layer_at
from ._replacing import replace

CHANGING = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


@dataclass(frozen=True, kw_only=True)
class Frozen:
    graph: Any
    """A GraphDef of TensorFlow, for any number of rows."""
    inputs: list[str]
    outputs: list[str]
    tables: dict[bytes, tuple[np.ndarray, np.ndarray]]
    """The lookup tables' keys and values, by name."""


def freeze(model: Any, inputs: Arrays, outputs: list[str], dimensions: Dimensions) -> Frozen:
    """Raises ValueError for a model that changes a variable or refers to what cannot be stored."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with quiet("tensorflow"):
        traced = _trace(model, inputs, outputs, dimensions)
        for operation in traced.graph.get_operations():
            if operation.type in CHANGING:
                at = layer_at(model, operation.name)
                raise ValueError(f"onnx: {at} changes a variable when it predicts; ONNX cannot")
        frozen = convert_variables_to_constants_v2(
            traced, lower_control_flow=False, aggressive_inlining=True
        )
    captured = {inner.op.name: outer for outer, inner in traced.graph.captures}
    graph = frozen.graph.as_graph_def()
    tables = _hold_tables(model, graph, captured)
    replace(graph)
    names = _names(inputs)
    for node in graph.node:
        if node.op == "Placeholder" and node.name not in names:
            raise ValueError(f"onnx: what {layer_at(model, node.name)} refers to cannot be stored")
    return Frozen(
        graph=graph,
        inputs=[f"{name}:0" for name in names],
        outputs=[each.name for each in frozen.outputs],
        tables=tables,
    )


def _names(inputs: Arrays) -> list[str]:
    """Returns names that TensorFlow takes, whatever the inputs are called."""
    return [f"input_{n}" for n in range(len(inputs))]


def _trace(model: Any, inputs: Arrays, outputs: list[str], dimensions: Dimensions) -> Any:
    """Returns the concrete function of inference for any number of rows."""
    import tensorflow as tf

    def answer(*tensors: Any) -> list[Any]:
        values = call(model, dict(zip(inputs, tensors, strict=True)), outputs, NAMES)
        return [tf.identity(each) for each in values]

    specs = [
        tf.TensorSpec(dimensions.shape(f"input.{key}", each), tensor_dtype(each), name)
        for name, (key, each) in zip(_names(inputs), inputs.items(), strict=True)
    ]
    try:
        return tf.function(answer, specs, autograph=False).get_concrete_function()
    except (TypeError, NotImplementedError, tf.errors.OpError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"onnx: this model cannot be traced: {text[:300]}") from error


def _hold_tables(model: Any, graph: Any, captured: dict[str, Any]) -> dict[bytes, Any]:
    """Puts a table where a graph has the handle of one in this process's memory, and returns the
    tables' content."""
    lookups = {node.input[0]: node for node in graph.node if node.op == "LookupTableFindV2"}
    tables = {}
    for node in graph.node:
        if node.op == "Placeholder" and node.name in lookups:
            kinds = {key: lookups[node.name].attr[key].type for key in ("Tin", "Tout")}
            _check_kinds(model, node.name, kinds)
            name = node.name.encode()
            tables[name] = _content(captured[node.name], kinds)
            node.op = "HashTableV2"
            node.ClearField("attr")
            node.attr["shared_name"].s = name
            node.attr["key_dtype"].type = kinds["Tin"]
            node.attr["value_dtype"].type = kinds["Tout"]
    return tables


def _check_kinds(model: Any, name: str, kinds: dict[str, Any]) -> None:
    import tensorflow as tf

    if {tf.as_dtype(kind) for kind in kinds.values()} != {tf.string, tf.int64}:
        raise ValueError(
            f"onnx: {layer_at(model, name)} looks up other than strings and int64, "
            "which ONNX has no operator for"
        )


def _content(handle: Any, kinds: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns a table's keys, in order, and their values."""
    import tensorflow as tf

    keys, values = tf.raw_ops.LookupTableExportV2(
        table_handle=handle, Tkeys=kinds["Tin"], Tvalues=kinds["Tout"]
    )
    order = np.argsort(keys.numpy())
    return keys.numpy()[order], values.numpy()[order]
