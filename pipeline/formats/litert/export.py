"""Writes the format.

A file is converted from a SavedModel made for it: given the function alone, the converter leaves
variables out and the file answers NaN.

A table's answer has no shape that the converter knows, and LiteRT then fails on one row when that
is the first it sees; so while a model is traced, each lookup is given the shape of its keys.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._keras_compare import Names, call, check_answers, layer_of, quiet, tensor_dtype
from .._lookup_tables import number_tables
from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from ._names import ENDPOINT, FILE
from .load import interpreter, load

if TYPE_CHECKING:
    import keras

NAMES = Names(format="litert", standard="LiteRT")
NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # that TensorFlow takes for a signature


def export(
    model: "keras.Model",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes a program for any number of rows, and every size of the dimensions; ValueError in one
    line when the model does not fit.

    `model` has been called; it is written as it answers with training=False.
    """
    for name in (*inputs, *outputs):
        if not NAME.fullmatch(name):
            raise ValueError(
                f"litert: {name!r} cannot name a tensor, expected a name like sepal_cm"
            )
    content = _converted(model, inputs, outputs, dimensions)
    (directory / FILE).write_bytes(content)
    try:
        _check_signature(content, inputs, outputs)
        check_answers(model, inputs, outputs, _running(directory), NAMES, dimensions)
    except ValueError:
        (directory / FILE).unlink()
        raise


def _converted(
    model: "keras.Model", inputs: Arrays, outputs: list[str], dimensions: Dimensions
) -> bytes:
    """Returns the file's content; an error names the operator and the layer that it is for."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    with tempfile.TemporaryDirectory() as folder, quiet("tensorflow", "absl"):
        _save(model, inputs, outputs, folder, dimensions)
        _number_tables(Path(folder) / "saved_model.pb")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[ENDPOINT])
        try:
            return bytes(converter.convert())
        except ConverterError as error:
            reason = _reason(str(error), model)
            raise ValueError(f"litert: LiteRT has no operator for {reason}") from error


def _reason(text: str, model: "keras.Model") -> str:
    """Returns the operator that a converter's error is about, and the layer of its scope."""
    layers = model._flatten_layers(include_self=False)
    for operator, operation in re.findall(r'fused\["([^":]+):", "([^"@]+)', text):
        layer = layer_of(operation, layers)
        if layer:
            return f"TensorFlow's {operator} in {layer}"
    return _one_line(text)


def _save(
    model: "keras.Model",
    inputs: Arrays,
    outputs: list[str],
    folder: str,
    dimensions: Dimensions,
) -> None:
    import keras
    import tensorflow as tf

    def answer(*tensors: Any) -> dict[str, Any]:
        values = call(model, dict(zip(inputs, tensors, strict=True)), outputs, NAMES)
        return {name: tf.identity(each) for name, each in zip(outputs, values, strict=True)}

    specs = [
        tf.TensorSpec(dimensions.shape(f"input.{name}", array), tensor_dtype(array), name)
        for name, array in inputs.items()
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)
    with _shaped_lookups(model):
        try:
            archive.add_endpoint(ENDPOINT, answer, input_signature=specs)
            archive.write_out(folder, verbose=False)
        except (TypeError, ValueError, NotImplementedError, tf.errors.OpError) as error:
            text = _one_line(str(error))
            raise ValueError(f"litert: this model cannot be traced: {text}") from error


@contextmanager
def _shaped_lookups(model: "keras.Model") -> Iterator[None]:
    """Gives the answer of each lookup table the shape of its keys."""
    import tensorflow as tf

    def shaped(find: Callable[..., Any]) -> Callable[..., Any]:
        return lambda keys, name=None: tf.reshape(find(keys, name), tf.shape(keys))

    with ExitStack() as undo:
        tables = [getattr(layer, "lookup_table", None) for layer in model._flatten_layers()]
        for table in {id(table): table for table in tables if table is not None}.values():
            table.lookup = shaped(table.lookup)
            undo.callback(delattr, table, "lookup")
        yield


def _number_tables(path: Path) -> None:
    """Numbers tables in the order of their nodes' names."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = SavedModel.FromString(path.read_bytes())
    graph = content.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    tables = [node for node in nodes if node.op == "HashTableV2"]
    number_tables(sorted(tables, key=lambda node: str(node.name)))
    path.write_bytes(content.SerializeToString(deterministic=True))


def _check_signature(content: bytes, inputs: Arrays, outputs: list[str]) -> None:
    signature = interpreter(content).get_signature_list()[ENDPOINT]
    names = [sorted(signature[side]) for side in ("inputs", "outputs")]
    if names != [sorted(inputs), sorted(outputs)]:
        raise ValueError(
            f"litert: found inputs and outputs {names}, expected {[*inputs]}, {outputs}"
        )


def _running(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns the loaded program; its errors while it runs are ValueErrors in one line."""
    predict = load(directory)

    def run(inputs: Arrays) -> Arrays:
        try:
            return predict(inputs)
        except RuntimeError as error:
            text = _one_line(str(error))
            raise ValueError(f"litert: LiteRT does not run it: {text}") from error

    return run


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
