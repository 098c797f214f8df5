"""`model.onnx`: the graph for ONNX runtimes; its weights are read out of the files beside it.

A weight that lies byte for byte in `model.pt2` or in the SavedModel's variables is referred to
there (external data with offset and length); only what is tiny or is not found is held in
`model.onnx` itself. torch's optimizer is off, since folding batch norm makes new weights that lie
nowhere yet; runtimes fold on loading.

Keras' own export names captured constants (Normalization's mean) as inputs and loses lookup tables.
So its models go another way: traced for inference, variables and constants frozen, tables put in by
their content, translated by tf2onnx; then onnxruntime must answer as the model does.
"""

import logging
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._onnx_export import TORCHVISION, reason, silenced, write
from .._onnx_proto import DTYPES, Entry, Graph, Model, Tensor
from .._onnx_screen import check_file
from .._protobuf import Message

if TYPE_CHECKING:
    from torch import nn

Arrays = dict[str, np.ndarray]

FILE = "model.onnx"
SHARED = "model.pt2"
VARIABLES = "saved_model/variables/variables.data-00000-of-00001"
OVERFLOW = "model.onnx.data"
TINY = 1024  # bytes: below it a reference costs about as much as the weight
INLINE_LIMIT = 1_500_000_000  # bytes: a protobuf message ends at 2 GB
EXAMPLE_ROWS = 3
OPSET = 18  # the highest that tf2onnx 1.17 writes
ROWS = (1, 7, 33)  # batch sizes for which a Keras model and its graph are compared
RTOL, ATOL = 1e-4, 1e-5  # and by how much they may differ; ATOL times the largest answer above one
UNKNOWN = "?unknown?"  # a string that no vocabulary holds
CHANGING = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


def export(model: Any, inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes a graph for any number of rows; ValueError in one line when the model does not fit.

    `model` is an nn.Module in evaluation mode or a keras.Model that has been called.
    """
    keras = any(each.__module__.startswith("keras.") for each in type(model).__mro__)
    origins: dict[str, str] = {}
    if keras:
        graph_model, origins = _from_keras(model, inputs, outputs)
    else:
        graph_model = _translate(model, inputs, outputs)
        _simplify(graph_model)
    _refer(graph_model.graph.initializers, directory)
    write(graph_model, directory / FILE)
    try:
        _check(directory, list(inputs), outputs)
        if keras:
            _compare(model, inputs, outputs, load(directory))
    except ValueError as error:
        for file in (FILE, OVERFLOW):
            (directory / file).unlink(missing_ok=True)
        blamed = [origins[n] for n in re.findall(r"\w+_\d+", str(error)) if n in origins]
        raise ValueError(f"{error} In {_layer(model, blamed[0])}") if blamed else error from error


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """onnxruntime runs the operators it knows and reads files in `directory` alone.

    No rows never reach it: its Resize and LSTM end the whole process on them (1.31.1). One row of
    zeros goes in instead, and none comes out.
    """
    import onnxruntime

    screen(directory)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(directory / FILE), options, providers=["CPUExecutionProvider"]
    )
    taken = [each.name for each in session.get_inputs()]
    given = [each.name for each in session.get_outputs()]

    def predict(inputs: Arrays) -> Arrays:
        rows = min(len(inputs[name]) for name in taken)
        feed = {name: inputs[name] if rows else _one_row(inputs[name]) for name in taken}
        found = [_plain(each) for each in session.run(given, feed)]
        return {name: each if rows else each[:0] for name, each in zip(given, found, strict=True)}

    return predict


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Every initializer, in whichever file it lies: name -> (file, offset, nbytes, numpy dtype)."""
    model = Message(memoryview((directory / FILE).read_bytes()))
    (graph,) = model.all(Model.GRAPH)
    return {each.text(Tensor.NAME): _place(each) for each in graph.all(Graph.INITIALIZER)}


def card(inputs: list[str], outputs: list[str]) -> str:
    feed = ", ".join(f'"{name}": example["input.{name}"]' for name in inputs)
    first = "[0]" if len(outputs) == 1 else ""
    return (
        "import numpy, onnxruntime\n"
        'example = numpy.load("examples/one.npz")\n'
        f'session = onnxruntime.InferenceSession("{FILE}")\n'
        f"outputs = session.run(None, {{{feed}}}){first}"
    )


def _check(directory: Path, inputs: list[str], outputs: list[str]) -> None:
    """ONNX can say more than onnxruntime computes, bfloat16 layers say, and misname what is
    returned as it came."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            str(directory / FILE), options, providers=["CPUExecutionProvider"]
        )
    except (Fail, InvalidGraph, NotImplemented) as error:
        raise ValueError(f"onnx: onnxruntime does not take this model: {reason(error)}") from error
    found = [[each.name for each in side] for side in (session.get_inputs(), session.get_outputs())]
    if found != [inputs, outputs]:
        raise ValueError(
            f"onnx: found inputs and outputs {found}, expected {[inputs, outputs]}; "
            "an input returned as it came, or a value returned twice, has no name of its own"
        )


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(str) if array.dtype.hasobject else array


def _one_row(array: np.ndarray) -> np.ndarray:
    return np.zeros((1, *array.shape[1:]), array.dtype)


def _translate(model: "nn.Module", inputs: Arrays, outputs: list[str]) -> Any:
    """torch's own program is made first and handed over: given the module, torch.onnx.export would
    answer a model that holds for one number of rows alone by fixing that number, without a word."""
    import torch

    program = _capture(model, inputs)
    try:
        with silenced(logging.ERROR, TORCHVISION), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            translated = torch.onnx.export(
                program,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes=tuple({0: "batch"} if n == 0 else {} for n in range(len(inputs))),
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(f"onnx: no ONNX for this model: {reason(error)}") from error
    assert translated is not None  # with dynamo=True it never is
    found = len(translated.model.graph.outputs)
    if found != len(outputs):
        raise ValueError(f"onnx: forward returned {found} values, expected one each for {outputs}")
    return translated.model


def _capture(model: "nn.Module", inputs: Arrays) -> Any:
    """RuntimeError is what all of torch's tracing errors are."""
    import torch

    if any(module.training for module in model.modules()):
        raise ValueError("onnx: found the model in training mode, expected model.eval()")
    rows = torch.export.Dim("batch", min=0)
    examples = tuple(
        torch.from_numpy(np.resize(each, (EXAMPLE_ROWS, *each.shape[1:])))
        for each in inputs.values()
    )
    try:
        return torch.export.export(model, examples, dynamic_shapes=tuple({0: rows} for _ in inputs))
    except RuntimeError as error:
        raise ValueError(f"onnx: this model cannot be traced: {reason(error)}") from error


def _simplify(model: Any) -> None:
    """Computes what depends on no weight: shapes, casts of literals, a missing bias."""
    import onnxscript.optimizer

    stored = set(model.graph.initializers.values())

    def should_fold(node: Any) -> bool | None:
        by_shape = node.op_type in ("Shape", "Size", "CastLike")
        return None if by_shape or stored.isdisjoint(node.inputs) else False

    onnxscript.optimizer.fold_constants(
        model, input_size_limit=TINY, output_size_limit=TINY, should_fold=should_fold
    )
    onnxscript.optimizer.remove_unused_nodes(model)


def _from_keras(model: Any, inputs: Arrays, outputs: list[str]) -> tuple[Any, dict[str, str]]:
    """The graph, and which operation of TensorFlow each of its nodes comes from.

    Of what hangs on a weight, batch norm's few numbers alone are folded, by freezing."""
    import onnx_ir
    import tensorflow as tf
    import tf2onnx
    from onnx import defs, helper

    frozen, given, tables = _freeze(model, inputs, outputs)
    taken = [f"input_{n}:0" for n in range(len(inputs))]
    with silenced(logging.CRITICAL, "tf2onnx", "tensorflow"), tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(frozen, name="")
            translated = tf2onnx.tfonnx.process_tf_graph(
                graph,
                continue_on_error=True,  # what is left of TensorFlow is named below
                opset=OPSET,
                extra_opset=[helper.make_opsetid("ai.onnx.ml", 2)],
                input_names=taken,
                output_names=given,
                initialized_tables=tables,
            )
            proto = tf2onnx.optimizer.optimize_graph(translated).make_model("main")
        except (ValueError, KeyError, RuntimeError) as error:  # NotImplementedError among them
            at = _layers(model, lambda layer: bool(layer.weights))
            raise ValueError(f"onnx: {reason(error)}; the layers are {at}") from error
    found = onnx_ir.from_proto(proto)
    for node in found.graph.all_nodes():
        domain = "" if node.domain == "ai.onnx" else node.domain
        if not defs.has(node.op_type, domain):
            at = _layer(model, node.name)
            raise ValueError(f"onnx: no ONNX for TensorFlow's {node.op_type} in {at}")
    return found, _name(found.graph, model, inputs, taken, outputs)


def _freeze(model: Any, inputs: Arrays, outputs: list[str]) -> tuple[Any, list[str], Any]:
    """The GraphDef of inference for any number of rows, without variables; its outputs' names; and
    the lookup tables: name -> (keys, values)."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def answer(*tensors: Any) -> list[Any]:
        found = _call(model, dict(zip(inputs, tensors, strict=True)), outputs)
        return [tf.identity(each) for each in found]

    specs = [
        tf.TensorSpec((None, *each.shape[1:]), _tf_dtype(each), f"input_{n}")
        for n, each in enumerate(inputs.values())
    ]
    with silenced(logging.CRITICAL, "tensorflow"):
        try:
            traced = tf.function(answer, specs, autograph=False).get_concrete_function()
        except (TypeError, NotImplementedError, tf.errors.OpError) as error:
            text = " ".join(str(error).split())
            raise ValueError(f"onnx: this model cannot be traced: {text[:300]}") from error
        for operation in traced.graph.get_operations():
            if operation.type in CHANGING:
                at = _layer(model, operation.name)
                raise ValueError(f"onnx: {at} changes a variable when it predicts; ONNX cannot")
        frozen = convert_variables_to_constants_v2(
            traced, lower_control_flow=False, aggressive_inlining=True
        )
    captured = {inner.op.name: outer for outer, inner in traced.graph.captures}
    graph = frozen.graph.as_graph_def()
    tables = _hold_tables(model, graph, captured)
    wanted = {f"input_{n}" for n in range(len(inputs))}
    for node in graph.node:
        if node.op == "Placeholder" and node.name not in wanted:
            raise ValueError(f"onnx: what {_layer(model, node.name)} refers to cannot be stored")
    return graph, [each.name for each in frozen.outputs], tables


def _hold_tables(model: Any, graph: Any, captured: dict[str, Any]) -> Any:
    """Puts a table where a graph has the handle of one in this process's memory."""
    import tensorflow as tf

    lookups = {node.input[0]: node for node in graph.node if node.op == "LookupTableFindV2"}
    tables = {}
    for node in graph.node:
        if node.op != "Placeholder" or node.name not in lookups:
            continue
        kinds = {key: lookups[node.name].attr[key].type for key in ("Tin", "Tout")}
        if {tf.as_dtype(kind) for kind in kinds.values()} != {tf.string, tf.int64}:
            raise ValueError(
                f"onnx: {_layer(model, node.name)} looks up other than strings and int64, "
                "which ONNX has no operator for"
            )
        keys, values = tf.raw_ops.LookupTableExportV2(
            table_handle=captured[node.name], Tkeys=kinds["Tin"], Tvalues=kinds["Tout"]
        )
        order = np.argsort(keys.numpy())
        tables[node.name.encode()] = (keys.numpy()[order], values.numpy()[order])
        node.op = "HashTableV2"
        node.ClearField("attr")
        node.attr["shared_name"].s = node.name.encode()
        node.attr["key_dtype"].type, node.attr["value_dtype"].type = kinds["Tin"], kinds["Tout"]
    return tables


def _name(
    graph: Any, model: Any, inputs: Arrays, taken: list[str], outputs: list[str]
) -> dict[str, str]:
    """Variables by their Keras path, the rest by number: tf2onnx counts up in a process."""
    import onnx_ir

    paths: dict[Any, list[str]] = {}
    for variable in model.variables:
        array = np.asarray(variable)
        paths.setdefault((array.dtype, array.shape, array.tobytes()), []).append(variable.path)
    by_name = {value.name: value for value in graph.inputs}
    graph.inputs[:] = [by_name[name] for name in taken if name in by_name]
    origins = _number(graph)
    for value in sorted(graph.initializers.values(), key=lambda each: str(each.name)):
        array = value.const_value.numpy()
        same = paths.get((array.dtype, array.shape, array.tobytes()), [])
        if same:
            value.name = same.pop(0)
    in_order = sorted(graph.initializers.items())
    graph.initializers.clear()
    for _, value in in_order:
        graph.initializers.add(value)
    for side, names in ((graph.inputs, list(inputs)), (graph.outputs, outputs)):
        for value, name in zip(side, names, strict=True):
            value.name = name
            if value.shape is not None:
                sizes = [
                    d if isinstance(d, int) else f"{name}_{n}" for n, d in enumerate(value.shape)
                ]
                value.shape = onnx_ir.Shape(["batch", *sizes[1:]])
    return origins


def _number(graph: Any, prefix: str = "") -> dict[str, str]:
    """New names for nodes and values in the order of the graph, of graphs inside it as well; each
    node's new name and its old one."""
    origins: dict[str, str] = {}
    graph.name = f"{prefix}graph"
    held = {id(value) for value in graph.initializers.values()}
    inputs = (value for node in graph.all_nodes() for value in node.inputs)
    used = {id(value): value for value in inputs if id(value) in held}
    # By first use: tf2onnx keeps constants in sets, whose order changes from process to process.
    for n, value in enumerate(used.values()):
        value.name = f"{prefix}constant_{n}"
    idle = [each for each in graph.initializers.values() if id(each) not in used]
    for value in idle:
        if not value.is_graph_output():
            del graph.initializers[value.name]
    for n, node in enumerate(graph):
        name = f"{prefix}{node.op_type}_{n}"
        node.name, origins[name] = name, node.name or ""
        for m, value in enumerate(node.outputs):
            value.name = f"{node.name}.{m}" if m else node.name
            if not value.is_graph_output():
                value.shape = value.type = None
        for attribute in node.attributes.values():
            if attribute.type.name == "GRAPH":
                for m, value in enumerate(attribute.value.inputs):
                    value.name = f"{node.name}/{attribute.name}/input_{m}"
                origins |= _number(attribute.value, f"{node.name}/{attribute.name}/")
    return origins


def _compare(
    model: Any, inputs: Arrays, outputs: list[str], predict: Callable[[Arrays], Arrays]
) -> None:
    """ValueError where onnxruntime answers otherwise than the model does, twice asked."""
    for given in _probes(model, inputs):
        expected, again = ([*_answer(model, given, outputs)] for _ in range(2))
        found = predict(given)
        for name, one, two in zip(outputs, expected, again, strict=True):
            rows = len(next(iter(given.values())))
            if not np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
                at = _layers(model, lambda layer: hasattr(layer, "seed_generator"))
                raise ValueError(f"onnx: {name} is random; look at {at}")
            wrong = _difference(found[name], one)
            if wrong:
                raise ValueError(
                    f"onnx: onnxruntime's {name} for {rows} rows {wrong}; the layers are "
                    + _layers(model, lambda layer: bool(layer.weights))
                )


def _difference(found: np.ndarray, expected: np.ndarray) -> str:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"is {found.dtype}{found.shape}, the model's {expected.dtype}{expected.shape}"
    if found.dtype.kind not in "fc":
        return "" if np.array_equal(found, expected) else "differs from the model's"
    largest = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
    if np.allclose(found, expected, RTOL, ATOL * largest, equal_nan=True):
        return ""
    return f"differs from the model's by {np.nanmax(np.abs(found - expected)):.3g}"


def _probes(model: Any, inputs: Arrays) -> Iterator[Arrays]:
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
                f"onnx: {at} refuses strings that it does not know, and ONNX cannot"
            ) from error
        yield given


def _answer(model: Any, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import tensorflow as tf

    found = _call(model, {name: tf.constant(each) for name, each in inputs.items()}, outputs)
    arrays = [np.asarray(each) for each in found]
    return [
        np.char.decode(each.astype("S"), "utf-8") if each.dtype.hasobject else each
        for each in arrays
    ]


def _call(model: Any, inputs: dict[str, Any], outputs: list[str]) -> list[Any]:
    """A single input goes in by itself, several by name; a dict of outputs comes by name."""
    found = model(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=False)
    if isinstance(found, dict):
        values = [found[name] for name in outputs if name in found] if outputs else [*found]
    else:
        values = list(found) if isinstance(found, (list, tuple)) else [found]
    if outputs and len(values) != len(outputs):
        raise ValueError(f"onnx: the model gave {len(values)} values, expected one each: {outputs}")
    return values


def _tf_dtype(array: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.string if array.dtype.kind == "U" else tf.as_dtype(array.dtype)


def _layer(model: Any, operation: str) -> str:
    """The innermost layer whose scope an operation of TensorFlow lies in: layer `dense` opens the
    scope `dense`, or `dense_1` where it is called once more."""
    layers = {layer.name: layer for layer in model._flatten_layers()}
    for scope in reversed(operation.split("/")[:-1]):
        for name in (re.sub(r"_\d+$", "", scope), scope):
            if name in layers:
                return _describe(layers[name])
    return f"{_describe(model)} (in {operation})"


def _layers(model: Any, chosen: Callable[[Any], bool]) -> str:
    """Those of somebody's own making first, and no more than five."""
    found = [each for each in model._flatten_layers(include_self=False) if chosen(each)]
    found.sort(key=lambda layer: type(layer).__module__.startswith("keras."))
    return ", ".join(map(_describe, found[:5])) or "the model's own call"


def _describe(layer: Any) -> str:
    return f"layer {layer.name} ({type(layer).__name__})"


def _refer(initializers: Any, directory: Path) -> None:
    """Replaces weights by references: into SHARED or VARIABLES, or, where too much is left, into
    OVERFLOW."""
    import onnx_ir

    index = _members(directory / SHARED)
    variables = _read(directory / VARIABLES)
    after = 0  # they lie in the order of their names, in which they are asked for
    left = []
    for name, value in initializers.items():
        tensor = value.const_value
        if tensor.nbytes < TINY:
            continue
        data = tensor.tobytes()
        place = index.get((len(data), zlib.crc32(data)))
        if place is not None and _lies_at(directory / SHARED, place, data):
            value.const_value = onnx_ir.ExternalTensor(
                SHARED, place, len(data), tensor.dtype, shape=tensor.shape, name=name
            )
            continue
        place = max(variables.find(data, after), variables.find(data, 0, after + len(data)))
        if place >= 0:
            after = place + len(data)
            value.const_value = onnx_ir.ExternalTensor(
                VARIABLES, place, len(data), tensor.dtype, shape=tensor.shape, name=name
            )
        else:
            left.append(value)
    if sum(value.const_value.nbytes for value in left) > INLINE_LIMIT:
        _overflow(left, directory)


def _overflow(values: list[Any], directory: Path) -> None:
    import onnx_ir

    with (directory / OVERFLOW).open("wb") as file:
        for value in values:
            tensor = value.const_value
            file.write(bytes(-file.tell() % 64))
            place = file.tell()
            file.write(tensor.tobytes())
            value.const_value = onnx_ir.ExternalTensor(
                OVERFLOW, place, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=value.name
            )


def _members(path: Path) -> dict[tuple[int, int], int]:
    """(size, crc32) -> offset of each member's data: behind header, name and padding."""
    if not path.is_file():
        return {}
    index: dict[tuple[int, int], int] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            if info.compress_type == zipfile.ZIP_STORED:
                index.setdefault((info.file_size, info.CRC), start)
    return index


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _lies_at(path: Path, offset: int, data: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(data)) == data


DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
NUMBER = re.compile(r"[0-9]{1,18}")


def screen(directory: Path) -> None:
    """ValueError unless the graph is of ONNX' own operators, and each weight lies, whole, in it or
    in one of the files that hold weights here."""
    path = directory / FILE
    try:
        check_file(path, DOMAINS, partial(_check_external, directory))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_external(directory: Path, name: str, entries: list[Message], size: int) -> None:
    """In a plain file of the model's own. A hard link is one: its bytes are what counts, and those
    are named by digest elsewhere."""
    pairs = [(entry.text(Entry.KEY), entry.text(Entry.VALUE)) for entry in entries]
    told = dict(pairs)
    file, numbers = told.get("location", ""), (told.get("offset", ""), told.get("length", ""))
    if file not in (SHARED, VARIABLES, OVERFLOW) or sorted(told) != [
        "length",
        "location",
        "offset",
    ]:
        raise ValueError(
            f"{name!r} lies in {file[:200]!r}, expected {SHARED}, {VARIABLES} or {OVERFLOW} beside "
            "it, an offset and a length; do not load it"
        )
    inner = [directory / each for each in (file, *map(str, Path(file).parents[:-1]))]
    if any(path.is_symlink() for path in inner) or not inner[0].is_file():
        raise ValueError(f"{name!r} lies in {file}, which is no plain file; do not load it")
    if len(pairs) != 3 or not all(NUMBER.fullmatch(each) for each in numbers):
        raise ValueError(f"{name!r} lies at {numbers} of {file}, expected numbers; do not load it")
    offset, length = map(int, numbers)
    if length != size or offset + length > inner[0].stat().st_size:
        raise ValueError(
            f"{name!r} takes {size} bytes and lies at {offset}, {length} long, in {file} of "
            f"{inner[0].stat().st_size}; do not load it"
        )


def _place(tensor: Message) -> tuple[str, int, int, str]:
    dtype = DTYPES.get(tensor.integer(Tensor.DATA_TYPE), "uint8")
    entries = tensor.all(Tensor.EXTERNAL_DATA)
    outside = {entry.text(Entry.KEY): entry.text(Entry.VALUE) for entry in entries}
    if outside:
        return outside["location"], int(outside["offset"]), int(outside["length"]), dtype
    raw = list(tensor.all(Tensor.RAW_DATA))
    return (FILE, raw[0].start, len(raw[0]), dtype) if raw else (FILE, tensor.start, 0, dtype)
