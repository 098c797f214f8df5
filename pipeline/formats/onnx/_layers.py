"""How errors name the format, and the layer of a Keras model that is at fault."""

from typing import Any

from .._keras_compare import Names, describe, layer_of

NAMES = Names(format="onnx", standard="ONNX", whose="onnxruntime's ")


def layer_at(model: Any, operation: str) -> str:
    """Returns the innermost layer that an operation of TensorFlow lies in, or the model."""
    layer = layer_of(operation, model._flatten_layers())
    return layer or f"{describe(model)} (in {operation})"
