"""The object that is saved: a model's variables and tables, and the functions that predict."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import as_argument, in_order
from ..contract import Arrays
from ..dimensions import Dimensions

if TYPE_CHECKING:
    import keras


def root_of(
    model: "keras.Model", inputs: Arrays, outputs: list[str], dimensions: Dimensions
) -> Any:
    """Returns a tf.Module with `weights` by Keras path, tables, and the endpoint `serve`."""
    import tensorflow as tf

    root = tf.Module()
    root.weights = variables_of(model)
    root.tables = tables_of(model)
    specs = specs_of("input", inputs, dimensions)

    def serve(inputs: Any) -> dict[str, Any]:
        return by_name(model(inputs, training=False), outputs)

    root.serve = tf.function(serve, input_signature=[specs], autograph=False)
    if len(inputs) == len(outputs) == 1:  # MLflow calls the object itself

        def call(inputs: Any) -> Any:
            return root.serve(inputs)[outputs[0]]

        setattr(root, "__call__", tf.function(call, input_signature=[specs], autograph=False))  # noqa: B010
    return root


def variables_of(model: "keras.Model") -> dict[str, Any]:
    """Returns tf.Variables by Keras path, in the model's order, metrics left out."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return by_path([variable for variable in model.variables if id(variable) not in metrics])


def by_path(variables: list["keras.Variable"]) -> dict[str, Any]:
    """Returns them by path; the second of a path, which layers of one name have, is path:2."""
    result: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for variable in variables:
        count = counts[variable.path] = counts.get(variable.path, 0) + 1
        result[variable.path if count == 1 else f"{variable.path}:{count}"] = variable.value
    return result


def tables_of(model: "keras.Model") -> list[Any]:
    from tensorflow.saved_model.experimental import TrackableResource

    attributes = [each for layer in model._flatten_layers() for each in vars(layer).values()]
    return list(dict.fromkeys(each for each in attributes if isinstance(each, TrackableResource)))


def specs_of(kind: str, arrays: Arrays, dimensions: Dimensions) -> Any:
    """Returns the spec of one input or target, or those of several by name."""
    return as_argument(
        {
            name: _spec(name, array, dimensions.shape(f"{kind}.{name}", array))
            for name, array in arrays.items()
        }
    )


def _spec(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> Any:
    import tensorflow as tf

    dtype = tf.string if array.dtype.kind in "USO" else tf.as_dtype(array.dtype)
    return tf.TensorSpec(shape, dtype, name)


def by_name(returned: Any, outputs: list[str]) -> dict[str, Any]:
    """Returns what a model returned by the names of its outputs, in their order."""
    values = in_order(returned, outputs)
    if len(values) != len(outputs):
        raise ValueError(f"the model returned {len(values)} tensors, expected one each: {outputs}")
    return dict(zip(outputs, values, strict=True))
