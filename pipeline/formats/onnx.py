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
import mmap
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Arrays = dict[str, np.ndarray]

PROMISES = {
    "code_free": True,
    "safe_to_load": True,
    "trainable": False,
    "same_bytes": True,
    "runtimes": ["onnxruntime"],
    "note": "Agrees with PyTorch within rounding, not bit for bit, and it cannot be trained on; "
    "it reads its weights from the model.pt2 beside it, where there is one.",
}
REQUIRES = ("onnxruntime", "numpy")
AFTER = ("torch_export",)

FRAMEWORKS = ("pytorch",)
FILE = "model.onnx"
SHARED = "model.pt2"
OVERFLOW = "model.onnx.data"
TINY = 1024  # bytes: below it a reference costs about as much as the weight
INLINE_LIMIT = 1_500_000_000  # bytes: a protobuf message ends at 2 GB
EXAMPLE_ROWS = 3
OPSET = 18  # the highest that tf2onnx 1.17 writes
ROWS = (1, 7, 33)  # batch sizes for which a Keras model and its graph are compared
RTOL, ATOL = 1e-4, 1e-5  # and by how much they may differ; ATOL times the largest answer above one
UNKNOWN = "?unknown?"  # a string that no vocabulary holds


def export(model: Any, inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes a graph for any number of rows; ValueError in one line when the model does not fit.

    `model` is an nn.Module in evaluation mode or a keras.Model that has been called.
    """
    import onnx_ir

    keras = any(each.__module__.startswith("keras.") for each in type(model).__mro__)
    if keras:
        graph_model = _from_keras(model, inputs, outputs)
    else:
        graph_model = _translate(model, inputs, outputs)
        _simplify(graph_model)
    _refer(graph_model.graph.initializers, directory)
    proto = onnx_ir.to_proto(graph_model)
    _strip(proto)
    (directory / FILE).write_bytes(proto.SerializeToString(deterministic=True))
    try:
        _check(directory, list(inputs), outputs)
        if keras:
            _compare(model, inputs, outputs, load(directory))
    except ValueError:
        for file in (FILE, OVERFLOW):
            (directory / file).unlink(missing_ok=True)
        raise


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """onnxruntime runs the operators it knows and reads files in `directory` alone.

    No rows never reach it: its Resize and LSTM end the whole process on them (1.31.1). One row of
    zeros goes in instead, and none comes out.
    """
    import onnxruntime

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
        found = session.run(given, feed)
        return {name: each if rows else each[:0] for name, each in zip(given, found, strict=True)}

    return predict


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Every initializer, in whichever file it lies: name -> (file, offset, nbytes, numpy dtype)."""
    content = memoryview((directory / FILE).read_bytes())
    (graph,) = _fields(content, 0, len(content), GRAPH)
    places = (_place(content, *span) for span in _fields(content, *graph, INITIALIZER))
    return {name: (*place, dtype) for name, place, dtype in places}


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
        raise ValueError(f"onnx: onnxruntime does not take this model: {_reason(error)}") from error
    found = [[each.name for each in side] for side in (session.get_inputs(), session.get_outputs())]
    if found != [inputs, outputs]:
        raise ValueError(
            f"onnx: found inputs and outputs {found}, expected {[inputs, outputs]}; "
            "an input returned as it came, or a value returned twice, has no name of its own"
        )


def _one_row(array: np.ndarray) -> np.ndarray:
    return np.zeros((1, *array.shape[1:]), array.dtype)


def _translate(model: "nn.Module", inputs: Arrays, outputs: list[str]) -> Any:
    """torch's own program is made first and handed over: given the module, torch.onnx.export would
    answer a model that holds for one number of rows alone by fixing that number, without a word."""
    import torch

    program = _capture(model, inputs)
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)  # four lines on torchvision not being installed
    try:
        with warnings.catch_warnings():
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
        raise ValueError(f"onnx: no ONNX for this model: {_reason(error)}") from error
    finally:
        registry.setLevel(level)
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
        raise ValueError(f"onnx: this model cannot be traced: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The innermost cause's first line, what it lists, and the line of the model that it blames."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    listed = [line for line in lines[1:] if line.startswith("- ")]
    marks = [n for n, line in enumerate(lines) if line.startswith("The following call raised")]
    blamed = lines[marks[0] + 1 : marks[0] + 3] if marks else []
    return " ".join([*lines[:1], *listed, *blamed]) or type(error).__name__


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


def _refer(initializers: Any, directory: Path) -> None:
    """Replaces weights by references: into SHARED, or, where too much is left, into OVERFLOW."""
    import onnx_ir

    index = _members(directory / SHARED)
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


def _lies_at(path: Path, offset: int, data: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(data)) == data


def _strip(message: Any) -> None:
    """Names, paths and lines of the source stand in doc strings and metadata throughout."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                _strip(each)


# Numbers of the fields in onnx.proto that say where a weight lies.
GRAPH, INITIALIZER = 7, 5
DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA = 2, 8, 9, 13
KEY, VALUE = 1, 2
# TensorProto.DataType. What numpy lacks is given as unsigned integers of its size.
DTYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64"}
DTYPES |= {9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64"}
DTYPES |= {15: "complex128", 16: "uint16"}


def _place(content: memoryview, start: int, end: int) -> tuple[str, tuple[str, int, int], str]:
    def text(span: tuple[int, int]) -> str:
        return bytes(content[slice(*span)]).decode()

    (name,) = _fields(content, start, end, NAME)
    (kind,) = _fields(content, start, end, DATA_TYPE)
    dtype = DTYPES.get(_varint(content, kind[0])[0], "uint8")
    outside = {}
    for entry in _fields(content, start, end, EXTERNAL_DATA):
        ((key,), (value,)) = (list(_fields(content, *entry, number)) for number in (KEY, VALUE))
        outside[text(key)] = text(value)
    if outside:
        place = (outside["location"], int(outside["offset"]), int(outside["length"]))
        return text(name), place, dtype
    for first, last in _fields(content, start, end, RAW_DATA):
        return text(name), (FILE, first, last - first), dtype
    return text(name), (FILE, start, 0), dtype


def _fields(content: memoryview, start: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """Where each value of field `number` lies in a protobuf message: (start, end) in `content`."""
    while start < end:
        tag, start = _varint(content, start)
        first = start
        if tag & 7 == 0:
            _, start = _varint(content, start)
        elif tag & 7 == 2:
            length, first = _varint(content, start)
            start = first + length
        else:
            start += {1: 8, 5: 4}[tag & 7]
        if tag >> 3 == number:
            yield first, start


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
