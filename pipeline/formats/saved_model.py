"""`saved_model/`: TensorFlow's own complete format, endpoint `serve`; same model, same bytes.

Written by `tf.saved_model.save`, which Keras' export ends in too. Keras' own archive (3.15) writes
every weight twice and in an order that changes from process to process, so the weights are laid out
here: once, in the order of the model, under their Keras paths. What TensorFlow numbers from a
counter of the process is numbered anew from 0.

A SavedModel's graph can read and write files, print, and call into Python. `load` therefore reads
it first and takes known operators only; `export` holds its own result to the same rules.
"""

import json
import re
import shutil
import struct
from collections.abc import Callable, Iterator
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
    "runtimes": ["tensorflow"],
    "note": "Evaluation mode is baked in; it takes TensorFlow to read, and only operators that "
    "touch neither files nor Python; compile configuration and optimizer are not in it.",
}
FRAMEWORKS = ("keras",)
REQUIRES = ("tensorflow", "numpy")
AFTER: tuple[str, ...] = ()

FOLDER = "saved_model"
FILE = f"{FOLDER}/saved_model.pb"
INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"
SIGNATURE = "assets.extra/signature.json"  # a folder that TensorFlow leaves to others
MEMBERS = {"saved_model.pb", INDEX, DATA, SIGNATURE}
ENDPOINT = "serve"

CHECKPOINT = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
"""Allowed where a program asks TensorFlow to save or restore variables, nowhere that a model runs.
"""
OPERATOR = re.compile(
    "|".join(
        re.findall(
            r"\S+",
            r"""
    NoOp Placeholder Const Identity(N)? StopGradient PreventGradient Snapshot EnsureShape Assert
    (Stateless|Stateful)?(PartitionedCall|If|While|Case) Merge Switch
    VarHandleOp VarIsInitializedOp VariableShape ReadVariableOp Assign(Add|Sub)?VariableOp
    Resource(Apply|Gather|Scatter|StridedSliceAssign)\w* DisableCopyOnRead
    (Mutable)?HashTableV2 LookupTable(Find|Size|Export|Import|Insert)V2
    Stateless(Random|Truncated|Shuffle|Parameterized)\w* Random(Uniform(Int)?|StandardNormal)
    Abs Acosh? Add(N|V2)? All Angle Any ApproximateEqual Arg(Max|Min) Asinh? Atan[2h]? Bessel\w+
    Betainc Bitcast Bitwise(And|Or|Xor) BroadcastArgs BroadcastGradientArgs BroadcastTo Cast Ceil
    CheckNumerics(V2)? ClipByValue Complex(Abs)? Conj Cosh? Cross Cum(prod|sum|ulativeLogsumexp)
    Digamma Div(NoNan)? Einsum Equal Erfc? Erfinv Exp(m1)? Floor(Div|Mod)? Greater(Equal)? Igammac?
    Imag Inv(Grad)? Invert Is(Finite|Inf|Nan) LeftShift Less(Equal)? Lgamma LinSpace Log(1p)?
    Logical(And|Or|Not) Max(imum)? Mean Min(imum)? Mod Mul(NoNan)? Ndtri Neg NextAfter NotEqual
    Polygamma PopulationCount Pow Prod Real RealDiv Reciprocal(Grad)? RightShift Rint Round
    (Sqrt|Rsqrt)(Grad)? Sigmoid(Grad)? Sign Sinh? Softplus(Grad)? Softsign(Grad)? Square
    SquaredDifference Sub Sum Tanh?(Grad)? Truncate(Div|Mod) Xdivy Xlog1py Xlogy Zeta
    (Batch)?(MatMul|Cholesky|MatrixBandPart|MatrixSolve|MatrixInverse)(V2|V3|Grad)? Qr Svd
    Matrix(Determinant|Diag|DiagPart|SetDiag|TriangularSolve)(V2|V3)?
    SelfAdjointEigV2 I?R?FFT([23]D)?
    (Avg|Max)Pool(3D)?(V2|WithArgmax)?(Grad)?(Grad)?(V2|WithArgmax)? BiasAdd(Grad|V1)?
    (DepthwiseConv2dNative|Conv|Conv2D|Conv3D)(BackpropFilter|BackpropInput)?(V2)? Dilation2D
    FusedBatchNorm(Grad)?(V2|V3)? LRN(Grad)? L2Loss (Log)?Softmax InTopK(V2)? TopK(V2)? NthElement
    (Leaky)?Relu6?(Grad)? (Elu|Selu)(Grad)? (Sparse)?SoftmaxCrossEntropyWithLogits CTCLoss(V2)?
    BatchToSpace(ND)? SpaceToBatch(ND)? DepthToSpace SpaceToDepth Concat(V2|Offset)? Empty Fill
    DynamicPartition (Parallel)?DynamicStitch ExpandDims Gather(V2|Nd)? InvertPermutation ListDiff
    LowerBound UpperBound MirrorPad(Grad)? OneHot OnesLike ZerosLike Pack Unpack Pad(V2)? Range Rank
    Reshape Reverse(V2|Sequence)? Roll ScatterNd(NonAliasingAdd)? Select(V2)? ShapeN? Size Slice
    Split(V)? Squeeze StridedSlice(Grad)? Tensor(Scatter(Add|Max|Min|Sub|Update)|StridedSliceUpdate)
    Tile Transpose ConjugateTranspose Unique(V2|WithCounts|WithCountsV2)? UnravelIndex Where
    (Empty)?TensorList\w* Sparse(Concat|FillEmptyRows(Grad)?|Reorder|Reshape|Slice|ToDense)
    Sparse(Reduce(Max|Sum)|Segment(Mean|Sum|SqrtN)(Grad)?|TensorDenseMatMul|TensorDenseAdd|Softmax)
    (Dense|Ragged|Sparse)?Bincount DenseToSparse\w+ Bucketize Ragged\w+ SparseCross(Hashed|V2)?
    (Unsorted)?Segment(Max|Mean|Min|Prod|Sum)(V2)? UnsortedSegmentJoin
    AsString String(Format|Join|Length|Lower|NGrams|Split|SplitV2|Strip|ToNumber|Upper) Substr
    StringToHashBucket(Fast|Strong)? (Static)?Regex(FullMatch|Replace) ReduceJoin
    Unicode(Decode|DecodeWithOffsets|Encode|Script|Transcode) (De|En)codeBase64
    Resize(Area|Bicubic|Bilinear|NearestNeighbor)(Grad)? ScaleAndTranslate(Grad)? CropAndResize\w*
    RGBToHSV HSVToRGB Adjust(Contrastv2|Hue|Saturation) ImageProjectiveTransformV[23]
    NonMaxSuppressionV[2345] CombinedNonMaxSuppression
    """,
        )
    )
)
OBJECTS = {"_generic_user_object", "signature_map"} | {
    f"trackable_{kind}_wrapper" for kind in ("list", "dict", "tuple")
}
REGISTERED = {"", "tf.TrackableConstant", "tf.StaticHashTable", "tf.MutableHashTable"}
COUNTED = re.compile(r"((?:CustomGradient|PartitionedCall)-|\bkey_value_init)\d+")
TABLE = re.compile(r"(Mutable)?HashTableV2")


def export(model: "keras.Model", inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes endpoint `serve` for any number of rows; same model, same bytes, anywhere.

    ValueError in one line when the model does not fit.
    """
    import tensorflow as tf

    folder = directory / FOLDER
    try:
        root = _root(model, inputs, outputs)
        signatures = {name: getattr(root, name) for name in (ENDPOINT,)}
        signatures["serving_default"] = root.serve
        tf.saved_model.save(root, str(folder), signatures)
        canonicalise(folder)
        (folder / SIGNATURE).parent.mkdir()
        (folder / SIGNATURE).write_text(json.dumps({"inputs": list(inputs), "outputs": outputs}))
        refuse_code(folder)
    except (tf.errors.OpError, NotImplementedError, AttributeError, TypeError, AssertionError) as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"saved_model: this model cannot be traced: {_in_one_line(e)}") from e
    except ValueError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"saved_model: this model does not fit: {_in_one_line(error)}") from error


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Runs known operators only; ValueError when the directory holds anything else."""
    import tensorflow as tf

    refuse_code(directory / FOLDER)
    names = json.loads((directory / FOLDER / SIGNATURE).read_text())
    model = tf.saved_model.load(str(directory / FOLDER))

    def predict(inputs: Arrays) -> Arrays:
        tensors = {name: tf.constant(inputs[name]) for name in names["inputs"]}
        found = model.serve(tensors if len(tensors) > 1 else tensors[names["inputs"][0]])
        return {name: plain(found[name].numpy()) for name in names["outputs"]}

    return predict


def plain(array: np.ndarray) -> np.ndarray:
    """TensorFlow gives strings as objects, bytes each."""
    return np.char.decode(array.astype("S"), "utf-8") if array.dtype.hasobject else array


def card(inputs: list[str], outputs: list[str]) -> str:
    """The object must be kept: `load(...).serve(...)` in one line loses the variables."""
    named = ", ".join(f'"{name}": example["input.{name}"]' for name in inputs)
    given = f"{{{named}}}" if len(inputs) > 1 else f'example["input.{inputs[0]}"]'
    taken = ", ".join(f'answer["{name}"]' for name in outputs)
    return (
        "import numpy, tensorflow\n"
        'example = numpy.load("examples/one.npz")\n'
        f'model = tensorflow.saved_model.load("{FOLDER}")\n'
        f"answer = model.{ENDPOINT}({given})\n"
        f"outputs = {taken}"
    )


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """By Keras path, read from the table of contents of the variables, without TensorFlow."""
    found = {}
    for key, value in _table((directory / FOLDER / INDEX).read_bytes()):
        match = re.fullmatch(r"weights/(.+)/\.ATTRIBUTES/VARIABLE_VALUE", key.decode())
        if match:
            entry = dict(_fields(value))
            dtype = DTYPES.get(entry[1], "uint8")
            name = match[1].replace(".S", "/").replace("..", ".")
            found[name] = (f"{FOLDER}/{DATA}", entry.get(4, 0), entry.get(5, 0), dtype)
    return found


def _root(model: "keras.Model", inputs: Arrays, outputs: list[str]) -> Any:
    """What is saved: `weights` by Keras path, tables, and one function an endpoint.

    An endpoint that trains would be another function over the same `weights`.
    """
    import tensorflow as tf

    root = tf.Module()
    root.weights = variables(model)
    root.tables = _tables(model)
    specs = {name: _spec(tf, name, array) for name, array in inputs.items()}
    taken = specs if len(specs) > 1 else next(iter(specs.values()))

    def serve(inputs: Any) -> dict[str, Any]:
        return _named(model(inputs, training=False), outputs)

    root.serve = tf.function(serve, input_signature=[taken], autograph=False)
    if len(inputs) == len(outputs) == 1:  # MLflow calls the object itself

        def call(inputs: Any) -> Any:
            return root.serve(inputs)[outputs[0]]

        setattr(root, "__call__", tf.function(call, input_signature=[taken], autograph=False))  # noqa: B010
    return root


def variables(model: "keras.Model") -> dict[str, Any]:
    """Keras path -> tf.Variable, in the model's order, metrics left out.

    A path that is taken twice, which layers of one name have, gets `_1` and so on.
    """
    metrics = {id(each) for each in model.metrics_variables}
    found: dict[str, Any] = {}
    for variable in model.variables:
        if id(variable) not in metrics:
            path, count = variable.path, 1
            while path in found:
                path, count = f"{variable.path}_{count}", count + 1
            found[path] = variable.value
    return found


def _tables(model: "keras.Model") -> list[Any]:
    from tensorflow.saved_model.experimental import TrackableResource

    layers = model._flatten_layers()
    found = [each for layer in layers for each in vars(layer).values()]
    return list(dict.fromkeys(each for each in found if isinstance(each, TrackableResource)))


def _spec(tf: Any, name: str, array: np.ndarray) -> Any:
    dtype = tf.string if array.dtype.kind in "USO" else tf.as_dtype(array.dtype)
    return tf.TensorSpec((None, *array.shape[1:]), dtype, name)


def _named(found: Any, outputs: list[str]) -> dict[str, Any]:
    if isinstance(found, dict):
        values = [found[name] for name in outputs if name in found]
    else:
        values = list(found) if isinstance(found, list | tuple) else [found]
    if len(values) != len(outputs):
        raise ValueError(f"the model returned {len(values)} tensors, expected one each: {outputs}")
    return dict(zip(outputs, values, strict=True))


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def canonicalise(folder: Path) -> None:
    """Leaves out what depends on process and machine; the fingerprint holds a random number."""
    read = sorted(path.name for path in (folder / "assets").iterdir())
    if read:
        raise ValueError(f"reads {read} while loading; give vocabularies as lists, not as files")
    content = _read(folder)
    for graph in content.meta_graphs:
        _forget(graph)
        _renumber(graph)
    (folder / "saved_model.pb").write_bytes(content.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    (folder / "assets").rmdir()


def _read(folder: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        return SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ValueError(
            f"{folder}/saved_model.pb: unreadable ({error}); export it again"
        ) from error


def _forget(graph: Any) -> None:
    """Devices of the machine, where in the source a node came from, and numbers as names."""
    for node in _nodes(graph):
        node.ClearField("experimental_debug_info")
        node.attr.pop("config_proto", None)
        _forget_number(node.attr)
    for function in graph.graph_def.library.function:
        for argument in function.arg_attr.values():
            _forget_number(argument.attr)


def _forget_number(attributes: Any) -> None:
    """Captured tensors are called by a number, inputs by their names."""
    label = "_user_specified_name"
    if label in attributes and attributes[label].s.isdigit():
        del attributes[label]


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _renumber(graph: Any) -> None:
    """Functions, gradients and tables are numbered in the order in which they are met."""
    library = graph.graph_def.library
    functions = {function.signature.name: function for function in library.function}
    taken: dict[str, int] = {}
    new: dict[str, str] = {}
    for name in _met(graph, functions):
        stem = re.sub(r"_\d+$", "", name)
        taken[stem] = taken.get(stem, -1) + 1
        new[name] = f"{stem}_{taken[stem]}"
    kept = {new[name]: functions[name].SerializeToString() for name in new}
    del library.function[:]
    for name in sorted(kept):
        library.function.add().ParseFromString(kept[name])
    _number_tables(graph)
    _rename(graph, lambda text: new.get(text, text))
    numbers: dict[str, str] = {}
    _rename(graph, lambda text: COUNTED.sub(lambda match: _number(match, numbers), text))


def _number(match: re.Match[str], numbers: dict[str, str]) -> str:
    return numbers.setdefault(match[0], f"{match[1]}{len(numbers)}")


def _number_tables(graph: Any) -> None:
    """Tables are told apart by `shared_name`; TensorFlow adds to it for each load."""
    tables: dict[bytes, bytes] = {}
    for node in _nodes(graph):
        if TABLE.fullmatch(node.op):
            name = node.attr["shared_name"].s
            node.attr["shared_name"].s = tables.setdefault(name, b"table_%d" % len(tables))


def _met(graph: Any, functions: dict[str, Any]) -> Iterator[str]:
    """Each function once: those that the endpoints call, the objects name, and these call."""
    roots = [name for node in graph.graph_def.node for name in _called(node)]
    for item in graph.object_graph_def.nodes:
        roots += [*item.function.concrete_functions]
        roots += [item.bare_concrete_function.concrete_function_name]
    registered = graph.graph_def.library.registered_gradients
    roots += sorted(each.gradient_func for each in registered)
    yield from _closure(roots, functions)


def _closure(roots: list[str], functions: dict[str, Any]) -> dict[str, None]:
    """Names in `functions` that the roots reach, breadth first."""
    met = dict.fromkeys(name for name in roots if name in functions)
    queue = list(met)
    for name in queue:
        for node in functions[name].node_def:
            fresh = [each for each in _called(node) if each in functions and each not in met]
            met.update(dict.fromkeys(fresh))
            queue += dict.fromkeys(fresh)
    return met


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for key in sorted(node.attr):
        value = node.attr[key]
        yield from [value.func.name] if value.HasField("func") else []
        yield from (each.name for each in value.list.func)


def _rename(message: Any, rename: Callable[[str], str]) -> None:
    """Every text and map key, but not in tensors, which are data."""
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
                _rename_text(message, field.name, value, rename)
        elif field.message_type.GetOptions().map_entry:
            _rename_map(value, field.message_type.fields_by_name["value"], rename)
        elif field.message_type.full_name != "tensorflow.TensorProto":
            for each in [value] if hasattr(value, "ListFields") else value:
                _rename(each, rename)


def _rename_text(message: Any, name: str, value: Any, rename: Callable[[str], str]) -> None:
    def either(text: Any) -> Any:
        if isinstance(text, str):
            return rename(text)
        return rename(text.decode("latin1")).encode("latin1")  # every byte is a character in it

    if isinstance(value, str | bytes):
        setattr(message, name, either(value))
    else:
        value[:] = [either(each) for each in value]


def _rename_map(entries: Any, kind: Any, rename: Callable[[str], str]) -> None:
    texts = kind.type == kind.TYPE_STRING
    for key in sorted(entries):
        new = rename(key) if isinstance(key, str) else key
        if kind.message_type is not None:
            _rename(entries[key], rename)
            if new != key:
                entries[new].CopyFrom(entries[key])
                del entries[key]
        else:
            value = entries.pop(key)
            entries[new] = rename(value) if texts else value


def refuse_code(folder: Path) -> None:
    """ValueError unless the directory holds known files and its graph known operators only."""
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if links or files != MEMBERS:
        wrong = sorted(files ^ MEMBERS) or sorted(map(str, links))
        raise ValueError(f"{folder}: found {wrong} amiss, expected plain files {sorted(MEMBERS)}")
    content = _read(folder)
    if len(content.meta_graphs) != 1:
        raise ValueError(f"{folder}: found {len(content.meta_graphs)} graphs, expected one")
    (graph,) = content.meta_graphs
    _check_objects(graph, folder)
    _check_operators(graph, folder)


def _check_objects(graph: Any, folder: Path) -> None:
    """Files, collections of version 1, and objects that TensorFlow makes by a registered class."""
    files = [each.filename for each in graph.asset_file_def]
    old = set(graph.collection_def) - {"saved_model_main_op"}  # an operator's name
    if files or old:
        raise ValueError(
            f"{folder}: reads {files or sorted(old)} while loading, expected everything in the "
            "graph (its own export: give vocabularies as lists, not as files)"
        )
    for item in graph.object_graph_def.nodes:
        kind = item.user_object.identifier
        plain = item.registered_name in REGISTERED and not item.registered_saver
        if item.HasField("asset") or not plain or (kind and kind not in OBJECTS):
            raise ValueError(
                f"{folder}: holds an object of class {kind or item.registered_name!r}, "
                "expected plain variables, tables and functions; do not load it"
            )


def _check_operators(graph: Any, folder: Path) -> None:
    functions = {each.signature.name: each for each in graph.graph_def.library.function}
    saver = {graph.saver_def.save_tensor_name.split(":")[0], graph.saver_def.restore_op_name}
    others = [node for node in graph.graph_def.node if node.name not in saver]
    roots = [name for node in others for name in _called(node)]
    for item in graph.object_graph_def.nodes:
        roots += item.function.concrete_functions
        roots += [item.bare_concrete_function.concrete_function_name]
    roots += [each.gradient_func for each in graph.graph_def.library.registered_gradients]
    running = _closure([*roots, *graph.object_graph_def.concrete_functions], functions)
    for node in graph.graph_def.node:
        _check_operator(node, functions, False, folder)
    for name, function in functions.items():
        for node in function.node_def:
            _check_operator(node, functions, name not in running, folder)


def _check_operator(node: Any, functions: dict[str, Any], saves: bool, folder: Path) -> None:
    known = OPERATOR.fullmatch(node.op) or node.op in functions
    if not known and not (saves and node.op in CHECKPOINT):
        raise ValueError(
            f"{folder}: operator {node.op} of {node.name} is not known to leave files and Python "
            "alone; do not load it (its own export: write that layer with other functions)"
        )


# tensorflow.DataType. What numpy lacks is given as unsigned integers of its size.
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8"}
DTYPES |= {8: "complex64", 9: "int64", 10: "bool", 14: "uint16", 17: "uint16", 18: "complex128"}
DTYPES |= {19: "float16", 22: "uint32", 23: "uint64"}
FOOTER, MAGIC = 48, 0xDB4775248B80FB57


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted string table (LevelDB's format, uncompressed blocks)."""
    footer = len(content) - FOOTER
    if footer < 0 or struct.unpack("<Q", content[-8:])[0] != MAGIC:
        raise ValueError(f"{FOLDER}/{INDEX}: not a table of variables; export it again")
    at = footer
    for _ in range(2):
        _, at = _varint(content, at)
    for _, handle in _block(content, *_handle(content, at)):
        yield from _block(content, *_handle(handle, 0))


def _handle(content: bytes, at: int) -> tuple[int, int]:
    offset, at = _varint(content, at)
    size, _ = _varint(content, at)
    return offset, size


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Each key gives how much of the one before it begins with; restarts and a type end it."""
    block, compressed = content[offset : offset + size], content[offset + size]
    if compressed:
        raise ValueError(f"{FOLDER}/{INDEX}: compressed; export it again")
    (restarts,) = struct.unpack("<I", block[-4:])
    at, end, key = 0, size - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _fields(message: bytes) -> Iterator[tuple[int, int]]:
    """The integers of a protobuf message: (number, value)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            at += length
        else:
            at += {1: 8, 5: 4}[tag & 7]


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
