"""`model.tflite`: for phones and small devices; one file that holds the weights once more.

Converted from a SavedModel made for it: given the function alone, the converter leaves variables
out and the file answers NaN. Only operators that are built into every LiteRT runtime are used.

A table's answer has no shape that the converter knows, and LiteRT then fails on one row when that
is the first it sees; so while a model is traced, each lookup is given the shape of its keys.
"""

import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]

PROMISES = {
    "code_free": True,
    "safe_to_load": True,
    "trainable": False,
    "same_bytes": True,
    "runtimes": ["tensorflow", "ai-edge-litert"],
    "note": "Agrees with Keras within rounding, not bit for bit, and it cannot be trained on; it "
    "holds the weights once more, and only operators that are built into LiteRT.",
}
FRAMEWORKS = ("keras",)
REQUIRES = ("tensorflow", "numpy")
AFTER: tuple[str, ...] = ()

FILE = "model.tflite"
ENDPOINT = "serve"
ROWS = (1, 7, 33)  # batch sizes for which model and file are compared
RTOL, ATOL = 1e-4, 1e-5  # and by how much they may differ; ATOL times the largest answer above one
UNKNOWN = "?unknown?"  # a string that no vocabulary holds
NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # that TensorFlow takes for a signature


def export(model: "keras.Model", inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes a program for any number of rows; ValueError in one line when the model does not fit.

    `model` has been called; it is written as it answers with training=False.
    """
    for name in (*inputs, *outputs):
        if not NAME.fullmatch(name):
            raise ValueError(
                f"litert: {name!r} cannot name a tensor, expected a name like sepal_cm"
            )
    content = _convert(model, inputs, outputs)
    (directory / FILE).write_bytes(content)
    try:
        _check(model, inputs, outputs, directory)
    except ValueError:
        (directory / FILE).unlink()
        raise


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Runs LiteRT's own operators; ValueError where the file asks for any other.

    TensorFlow's interpreter would also run TensorFlow's operators, those that write files too. No
    rows never reach it: XNNPACK fails on them in a convolution. One row of zeros goes in instead.
    """
    content = (directory / FILE).read_bytes()
    _refuse_custom(content)
    run = _interpreter(content).get_signature_runner(ENDPOINT)
    names = list(run.get_input_details())

    def predict(inputs: Arrays) -> Arrays:
        rows = min(len(inputs[name]) for name in names)
        found = run(**{name: _encoded(_some_rows(inputs[name])) for name in names})
        found = {name: each if rows else each[:0] for name, each in found.items()}
        return {name: _decoded(each) for name, each in found.items()}

    return predict


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Each constant tensor's buffer: name -> (FILE, offset, nbytes, numpy dtype); runs nothing."""
    content = (directory / FILE).read_bytes()
    model = _parse(content)
    places: dict[str, tuple[str, int, int, str]] = {}
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            place = _place(model.Buffers(tensor.Buffer()))
            if place is not None:
                name = tensor.Name().decode()
                taken = sum(each.partition("#")[0] == name for each in places)
                dtype = DTYPES.get(tensor.Type(), "uint8")
                places[f"{name}#{taken}" if taken else name] = (FILE, *place, dtype)
    return places


def card(inputs: list[str], outputs: list[str]) -> str:
    given = ", ".join(f'"{name}": encoded(example["input.{name}"])' for name in inputs)
    taken = ", ".join(f'answer["{name}"]' for name in outputs)
    return (
        "import numpy, tensorflow  # or: from ai_edge_litert.interpreter import Interpreter\n"
        'example = numpy.load("examples/one.npz")\n'
        'encoded = lambda a: numpy.char.encode(a, "utf-8") if a.dtype.kind == "U" else a\n'
        f'run = tensorflow.lite.Interpreter("{FILE}").get_signature_runner("{ENDPOINT}")\n'
        f"answer = run(**{{{given}}})\n"
        f"outputs = {taken}"
    )


def _convert(model: "keras.Model", inputs: Arrays, outputs: list[str]) -> bytes:
    """ConverterError's text names the operation and, in its location, the layer's scope."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    with tempfile.TemporaryDirectory() as folder, _quiet("tensorflow", "absl"):
        _save(model, inputs, outputs, folder)
        _number_tables(Path(folder) / "saved_model.pb")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[ENDPOINT])
        try:
            return bytes(converter.convert())
        except ConverterError as error:
            text = str(error)
            found = re.findall(r'fused\["([^":]+):", "([^"@]+)', text)
            named = ((op, _layer(model, operation)) for op, operation in found)
            op, at = next(((op, at) for op, at in named if at), ("", ""))
            reason = f"TensorFlow's {op} in {at}" if at else _line(text)
            raise ValueError(f"litert: LiteRT has no operator for {reason}") from error


def _save(model: "keras.Model", inputs: Arrays, outputs: list[str], folder: str) -> None:
    import keras
    import tensorflow as tf

    def answer(*tensors: Any) -> dict[str, Any]:
        found = _call(model, dict(zip(inputs, tensors, strict=True)), outputs)
        return {name: tf.identity(each) for name, each in zip(outputs, found, strict=True)}

    specs = [
        tf.TensorSpec((None, *each.shape[1:]), _dtype(each), name) for name, each in inputs.items()
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)
    with _shaped_lookups(model):
        try:
            archive.add_endpoint(ENDPOINT, answer, input_signature=specs)
            archive.write_out(folder, verbose=False)
        except (TypeError, NotImplementedError, tf.errors.OpError) as error:
            text = _line(str(error))
            raise ValueError(f"litert: this model cannot be traced: {text}") from error


def _number_tables(path: Path) -> None:
    """TensorFlow tells tables apart by a counter of the process, which the file would hold."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = SavedModel.FromString(path.read_bytes())
    graph = content.meta_graphs[0].graph_def
    nodes = [node for function in graph.library.function for node in function.node_def]
    tables: dict[bytes, bytes] = {}
    for node in sorted([*graph.node, *nodes], key=lambda node: str(node.name)):
        if node.op == "HashTableV2":
            name = node.attr["shared_name"].s
            node.attr["shared_name"].s = tables.setdefault(name, b"table_%d" % len(tables))
    path.write_bytes(content.SerializeToString(deterministic=True))


@contextmanager
def _shaped_lookups(model: "keras.Model") -> Iterator[None]:
    import tensorflow as tf

    def shaped(find: Callable[..., Any]) -> Callable[..., Any]:
        return lambda keys, name=None: tf.reshape(find(keys, name), tf.shape(keys))

    with ExitStack() as undo:
        tables = [getattr(layer, "lookup_table", None) for layer in model._flatten_layers()]
        for table in {id(table): table for table in tables if table is not None}.values():
            table.lookup = shaped(table.lookup)
            undo.callback(delattr, table, "lookup")
        yield


def _check(model: "keras.Model", inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """ValueError where LiteRT answers otherwise than the model does, or not at all."""
    signature = _interpreter((directory / FILE).read_bytes()).get_signature_list()[ENDPOINT]
    found = [sorted(signature[side]) for side in ("inputs", "outputs")]
    if found != [sorted(inputs), sorted(outputs)]:
        raise ValueError(
            f"litert: found inputs and outputs {found}, expected {[*inputs]}, {outputs}"
        )
    predict = load(directory)
    for given in _probes(model, inputs):
        try:
            _compare(model, given, outputs, predict(given))
        except RuntimeError as error:
            raise ValueError(f"litert: LiteRT does not run it: {_line(str(error))}") from error


def _compare(model: "keras.Model", given: Arrays, outputs: list[str], found: Arrays) -> None:
    expected, again = (_answer(model, given, outputs) for _ in range(2))
    for name, one, two in zip(outputs, expected, again, strict=True):
        if not np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
            at = _layers(model, lambda layer: hasattr(layer, "seed_generator"))
            raise ValueError(f"litert: {name} is random; look at {at}")
        wrong = _difference(found[name], one)
        if wrong:
            at = _layers(model, lambda layer: bool(layer.weights))
            raise ValueError(f"litert: {name} for {len(one)} rows {wrong}; the layers are {at}")


def _difference(found: np.ndarray, expected: np.ndarray) -> str:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"is {found.dtype}{found.shape}, the model's {expected.dtype}{expected.shape}"
    if found.dtype.kind not in "fc":
        return "" if np.array_equal(found, expected) else "differs from the model's"
    largest = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
    if np.allclose(found, expected, RTOL, ATOL * largest, equal_nan=True):
        return ""
    return f"differs from the model's by {np.nanmax(np.abs(found - expected)):.3g}"


def _probes(model: "keras.Model", inputs: Arrays) -> Iterator[Arrays]:
    """The examples in batches of ROWS; the last has a string no vocabulary holds in each column."""
    import tensorflow as tf

    for rows in ROWS:
        yield {name: np.resize(each, (rows, *each.shape[1:])) for name, each in inputs.items()}
    texts = [name for name, each in inputs.items() if each.dtype.kind == "U"]
    given = {name: np.resize(each, (3, *each.shape[1:])) for name, each in inputs.items()}
    for name in texts:
        column = given[name].astype(f"U{max(len(UNKNOWN), given[name].itemsize // 4)}")
        column[1:2], column[2:] = UNKNOWN, ""
        given[name] = column
    if texts:
        try:
            _answer(model, given, [])
        except tf.errors.InvalidArgumentError as error:
            at = _layers(model, lambda layer: getattr(layer, "num_oov_indices", None) == 0)
            raise ValueError(
                f"litert: {at} refuses strings that it does not know, and LiteRT cannot"
            ) from error
        yield given


def _answer(model: "keras.Model", inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import tensorflow as tf

    found = _call(model, {name: tf.constant(each) for name, each in inputs.items()}, outputs)
    return [_decoded(np.asarray(each)) for each in found]


def _call(model: "keras.Model", inputs: dict[str, Any], outputs: list[str]) -> list[Any]:
    """A single input goes in by itself, several by name; a dict of outputs comes by name."""
    found = model(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=False)
    if isinstance(found, dict):
        values = [found[name] for name in outputs if name in found] if outputs else [*found]
    else:
        values = list(found) if isinstance(found, (list, tuple)) else [found]
    if outputs and len(values) != len(outputs):
        raise ValueError(
            f"litert: the model gave {len(values)} values, expected one each: {outputs}"
        )
    return values


def _dtype(array: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.string if array.dtype.kind == "U" else tf.as_dtype(array.dtype)


def _some_rows(array: np.ndarray) -> np.ndarray:
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def _encoded(array: np.ndarray) -> np.ndarray:
    return np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array


def _decoded(array: np.ndarray) -> np.ndarray:
    text = array.dtype.hasobject or array.dtype.kind == "S"
    return np.char.decode(array.astype("S"), "utf-8") if text else array


def _interpreter(content: bytes) -> Any:
    """TensorFlow 2.21 still has it, and warns that 2.20 would not."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return tf.lite.Interpreter(model_content=content)


def _layer(model: "keras.Model", operation: str) -> str:
    """The innermost layer whose scope an operation of TensorFlow lies in: layer `dense` opens the
    scope `dense`, or `dense_1` where it is called once more. Empty where there is none."""
    layers = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    for scope in reversed(operation.split("/")[:-1]):
        for name in (re.sub(r"_\d+$", "", scope), scope):
            if name in layers:
                return _describe(layers[name])
    return ""


def _layers(model: "keras.Model", chosen: Callable[[Any], bool]) -> str:
    """Those of somebody's own making first, and no more than five."""
    found = [each for each in model._flatten_layers(include_self=False) if chosen(each)]
    found.sort(key=lambda layer: type(layer).__module__.startswith("keras."))
    return ", ".join(map(_describe, found[:5])) or "the model's own call"


def _describe(layer: Any) -> str:
    return f"layer {layer.name} ({type(layer).__name__})"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """What goes wrong is found by looking at the result, and said once."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# TensorType of LiteRT's schema. What numpy lacks is given as unsigned integers of its size.
DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16"}
DTYPES |= {8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32"}
DTYPES |= {16: "uint16", 18: "uint16"}
DATA = 4  # where table Buffer's own table says its first field lies


def _parse(content: bytes) -> Any:
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.Model.GetRootAs(content, 0)


def _place(buffer: Any) -> tuple[int, int] | None:
    """(offset, nbytes); those of large files lie behind the flatbuffer."""
    if buffer.Size() > 1:
        return buffer.Offset(), buffer.Size()
    if not buffer.DataLength():
        return None
    return buffer._tab.Vector(buffer._tab.Offset(DATA)), buffer.DataLength()


def _refuse_custom(content: bytes) -> None:
    model = _parse(content)
    codes = map(model.OperatorCodes, range(model.OperatorCodesLength()))
    custom = [code.CustomCode().decode() for code in codes if code.CustomCode()]
    if custom:
        raise ValueError(f"{FILE}: holds operators {custom} that are not LiteRT's own; not loaded")
