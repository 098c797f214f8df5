"""`model.tflite`: for phones and small devices; one file that holds the weights once more.

Converted from a SavedModel made for it: given the function alone, the converter leaves variables
out and the file answers NaN. Only operators that are built into every LiteRT runtime are used.

A table's answer has no shape that the converter knows, and LiteRT then fails on one row when that
is the first it sees; so while a model is traced, each lookup is given the shape of its keys.
"""

import logging
import math
import re
import struct
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
    screen(directory)
    content = (directory / FILE).read_bytes()
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


# Numbers of the fields in LiteRT's schema that are looked at before anything is loaded.
CODES, GRAPHS, BUFFERS = 1, 2, 4
CUSTOM, DELEGATE, LAST_BUILTIN = 32, 51, 250
LARGEST_FILE, LARGEST_TENSOR, MOST, RANK = 1 << 31, 1 << 32, 1_000_000, 32
PACKED = {5, 13, 14, 17, 19}  # text, resources, variants and what is smaller than a byte


def screen(directory: Path) -> None:
    """ValueError unless all operators are built into LiteRT, and every constant is as large as its
    shape says. Reads the flatbuffer's tables; no framework is loaded.
    """
    path = directory / FILE
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("larger than a flatbuffer can be")
        _check_tables(path.read_bytes())
    except (ValueError, struct.error, OSError) as error:
        raise ValueError(f"{path}: {_line(str(error))}; not loaded") from error


def _check_tables(content: bytes) -> None:
    if content[4:8] != b"TFL3":
        raise ValueError("no LiteRT file")
    model = _Table(content, *struct.unpack_from("<I", content))
    custom = [text for code in model.tables(CODES) if (text := code.text(1))]
    kinds = {max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(CODES)}
    if custom or kinds & {CUSTOM, DELEGATE} or not kinds <= set(range(LAST_BUILTIN)):
        raise ValueError(f"holds operators {custom or sorted(kinds)} that are not LiteRT's own")
    sizes = [_stored(buffer, len(content)) for buffer in model.tables(BUFFERS)]
    if not model.count(GRAPHS):
        raise ValueError("holds no graph")
    seen = 0
    for graph in model.tables(GRAPHS):
        seen += graph.count(0) + graph.count(3)
        if seen > MOST:
            raise ValueError(f"holds over {MOST} tensors and operators")
        for tensor in graph.tables(0):
            _check_shape(tensor, sizes)


def _stored(buffer: "_Table", total: int) -> int:
    """Its bytes, in the flatbuffer or behind it."""
    offset, size = buffer.number(1, "Q"), buffer.number(2, "Q")
    if size > 1 and not 1 < offset <= offset + size <= total:
        raise ValueError(f"a buffer of {size} bytes at {offset} is not in the file")
    return size if size > 1 else buffer.count(0, 1)


def _check_shape(tensor: "_Table", sizes: list[int]) -> None:
    name, shape, number = tensor.text(3), tensor.numbers(0), tensor.number(2, "I")
    kind = tensor.number(1, "b")
    size = math.prod(shape) * np.dtype(DTYPES.get(kind, "uint8")).itemsize
    if any(each < 0 for each in shape) or size > LARGEST_TENSOR or number >= len(sizes):
        raise ValueError(f"tensor {name!r} has the shape {shape}")
    exact = kind in DTYPES and kind not in PACKED and not tensor.has(6)
    if exact and sizes[number] not in (0, size):
        raise ValueError(f"tensor {name!r} of shape {shape} has {sizes[number]} bytes")


class _Table:
    """A table of a flatbuffer; struct.error or ValueError for what does not lie in the file."""

    def __init__(self, content: bytes, at: int):
        self.content, self.at = content, at
        (back,) = struct.unpack_from("<i", content, at)
        self.fields = self._within(at - back)
        self.length = struct.unpack_from("<H", content, self.fields)[0]

    def _within(self, at: int) -> int:
        if not 0 <= at < len(self.content):
            raise ValueError(f"refers to byte {at} of {len(self.content)}")
        return at

    def _place(self, number: int) -> int:
        """Of a field's value; 0 where it has none."""
        where = 4 + 2 * number
        if where + 2 > self.length:
            return 0
        (offset,) = struct.unpack_from("<H", self.content, self.fields + where)
        return self._within(self.at + offset) if offset else 0

    def has(self, number: int) -> bool:
        return self._place(number) > 0

    def number(self, number: int, kind: str) -> int:
        at = self._place(number)
        return int(struct.unpack_from(f"<{kind}", self.content, at)[0]) if at else 0

    def _vector(self, number: int, size: int) -> tuple[int, int]:
        """Where its elements start, and how many there are; all of them in the file."""
        at = self._place(number)
        if not at:
            return 0, 0
        at = self._within(at + struct.unpack_from("<I", self.content, at)[0])
        (count,) = struct.unpack_from("<I", self.content, at)
        if at + 4 + count * size > len(self.content):
            raise ValueError(f"a list of {count} does not lie in the file")
        return at + 4, count

    def count(self, number: int, size: int = 4) -> int:
        return self._vector(number, size)[1]

    def numbers(self, number: int) -> list[int]:
        at, count = self._vector(number, 4)
        if count > RANK:
            raise ValueError(f"a shape of {count} dimensions")
        return list(struct.unpack_from(f"<{count}i", self.content, at))

    def text(self, number: int) -> str:
        at, count = self._vector(number, 1)
        return self.content[at : at + min(count, 200)].decode(errors="replace")

    def tables(self, number: int) -> Iterator["_Table"]:
        at, count = self._vector(number, 4)
        if count > MOST:
            raise ValueError(f"a list of {count} tables")
        for place in range(at, at + 4 * count, 4):
            (offset,) = struct.unpack_from("<I", self.content, place)
            yield _Table(self.content, place + offset)
