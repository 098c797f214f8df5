"""`saved_model/`: TensorFlow's own complete format; same model, same bytes.

Endpoint `serve` predicts. Given a training, `train_step` takes a step and `end_epoch` sets the next
learning rate, over the same variables and the optimizer's beside them.

Written by `tf.saved_model.save`, which Keras' export ends in too. Keras' own archive (3.15) writes
every weight twice and in an order that changes from process to process, so the weights are laid out
here: once, in the order of the model, under their Keras paths. What TensorFlow numbers from a
counter of the process is numbered anew from 0.

A SavedModel's graph can read and write files, print, and call into Python. `load` therefore reads
it first and takes known operators only; `export` holds its own result to the same rules.
"""

import json
import math
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


FOLDER = "saved_model"
FILE = f"{FOLDER}/saved_model.pb"
INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"
SIGNATURE = "assets.extra/signature.json"  # a folder that TensorFlow leaves to others
MEMBERS = {"saved_model.pb", INDEX, DATA, SIGNATURE}
ENDPOINT = "serve"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
WRONG = (AttributeError, TypeError, ValueError)
WRONG_BYTES = (
    *(LookupError, TypeError, AttributeError, struct.error, RecursionError),
    *(UnicodeDecodeError, json.JSONDecodeError),
)
EPOCHS = 64
"""For which a schedule in the graph must give the source's learning rates, bit for bit."""

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
    (Dense|Ragged|Sparse)?Bincount DenseToSparseSetOperation Bucketize Ragged\w+
    SparseCross(Hashed|V2)?
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
COUNTED = re.compile(
    r"((?:CustomGradient|PartitionedCall)-|\bkey_value_init|_(?=\d+___redundant_placeholder))\d+"
)
TABLE = re.compile(r"(Mutable)?HashTableV2")


def export(
    model: "keras.Model",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    target: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Writes its endpoints for any number of rows; same model, same bytes, anywhere.

    `training` has a compiled .model, .schedule, .clip_norm and .epochs; `target` is an example. The
    seeds of the model are variables and travel with it: `seed` makes no difference. ValueError in
    one line when something does not fit.
    """
    import tensorflow as tf

    folder = directory / FOLDER
    said: dict[str, Any] = {"inputs": list(inputs), "outputs": outputs}
    try:
        root = _root(model, inputs, outputs)
        if training is not None:
            _train(root, training, _taken(inputs), target, outputs)
            seeds = [name for name in root.weights if name.endswith("seed_generator_state")]
            said["training"] = {"schedule": training.schedule is not None, "seeds": seeds}
        signatures = {name: getattr(root, name) for name in (ENDPOINT,)}
        signatures["serving_default"] = root.serve
        tf.saved_model.save(root, str(folder), signatures)
        canonicalise(folder)
        (folder / SIGNATURE).parent.mkdir()
        (folder / SIGNATURE).write_text(json.dumps(said))
        screen(directory)
    except ValueError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"saved_model: this model does not fit: {_in_one_line(error)}") from error
    except (tf.errors.OpError, NotImplementedError, AssertionError, *WRONG) as e:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"saved_model: this model cannot be traced: {_in_one_line(e)}") from e


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Runs known operators only; ValueError when the directory holds anything else."""
    import tensorflow as tf

    screen(directory)
    names = _signature(directory)
    return _predictor(tf.saved_model.load(str(directory / FOLDER)), names)


def _signature(directory: Path) -> dict[str, Any]:
    """ValueError where it is no JSON."""
    found: dict[str, Any] = json.loads((directory / FOLDER / SIGNATURE).read_text())
    return found


def _predictor(model: Any, names: dict[str, Any]) -> Callable[[Arrays], Arrays]:
    def predict(inputs: Arrays) -> Arrays:
        found = model.serve(_tensors(inputs, names["inputs"]))
        return {name: plain(found[name].numpy()) for name in names["outputs"]}

    return predict


def _tensors(inputs: Arrays, names: list[str]) -> Any:
    """One input as it is, several in a dict."""
    import tensorflow as tf

    tensors = {name: tf.constant(inputs[name]) for name in names}
    return tensors if len(tensors) > 1 else tensors[names[0]]


def load_training(directory: Path) -> "Trainer":
    """Refuses what `load` refuses, and a model that was exported to predict only."""
    screen(directory)
    if "training" not in _signature(directory):
        raise ValueError(
            f"saved_model: {directory / FOLDER} holds no training program; export it with one"
        )
    return Trainer(directory)


class Trainer:
    """Goes on where the exported training stood; the loaded endpoints do all of the work."""

    def __init__(self, directory: Path):
        import tensorflow as tf

        folder = directory / FOLDER
        self._names = _signature(directory)
        self._model = tf.saved_model.load(str(folder))
        for name in ("weights", "optimizer", "epochs", "train_step", "end_epoch", "evaluate"):
            if not hasattr(self._model, name):
                raise ValueError(f"saved_model: {folder} lacks {name}; export it again")
        self._predict = _predictor(self._model, self._names)
        self._files = {name: (folder / name).read_bytes() for name in MEMBERS - {INDEX, DATA}}
        self._entries = _entries(folder, set(self._variables()))

    def seed(self, value: int) -> None:
        """Of the random numbers from here on: each generator gets a state of its own."""
        for index, name in enumerate(self._names["training"]["seeds"]):
            drawn = np.random.SeedSequence([value, index]).generate_state(1)[0]
            self._model.weights[name].assign(np.array([drawn >> 1, 0]))

    def set_learning_rate(self, value: float) -> None:
        """ValueError where a schedule sets it."""
        named = [each for each in self._model.optimizer if each.endswith("/learning_rate")]
        if self._names["training"]["schedule"] or not named:
            raise ValueError("the schedule of the model sets it")
        for name in named:
            self._model.optimizer[name].assign(value)

    def step(self, inputs: Arrays, target: np.ndarray) -> np.ndarray:
        """The loss before the step, a scalar."""
        loss = self._model.train_step(_tensors(inputs, self._names["inputs"]), target)
        return np.asarray(loss.numpy())

    def end_epoch(self) -> None:
        """Brings the learning rate to that of the next epoch."""
        self._model.end_epoch()

    def predict(self, inputs: Arrays) -> Arrays:
        """In evaluation mode, with the weights as they are now."""
        return self._predict(inputs)

    def predictor(self) -> None:
        """No program by itself: other formats are made from the Keras model."""

    def evaluate(self, inputs: Arrays, target: np.ndarray) -> tuple[Arrays, np.ndarray]:
        """Answers in evaluation mode, and their loss, a scalar."""
        found, loss = self._model.evaluate(_tensors(inputs, self._names["inputs"]), target)
        answers = {name: plain(found[name].numpy()) for name in self._names["outputs"]}
        return answers, np.asarray(loss.numpy())

    def state(self) -> Arrays:
        """net/<path> of every weight and seed, optimizer/<path> of what it keeps."""
        kept = {"net": self._model.weights, "optimizer": self._model.optimizer}
        return {
            f"{k}/{name}": each.numpy() for k, some in kept.items() for name, each in some.items()
        }

    def save(self, directory: Path) -> None:
        """The graph as it was loaded, the variables as they are now; same state, same bytes."""
        import tensorflow as tf

        folder = directory / FOLDER
        for name, content in self._files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        variables = self._variables()
        tf.raw_ops.SaveV2(
            prefix=str(folder / INDEX.removesuffix(".index")),
            tensor_names=list(self._entries),
            shape_and_slices=[""] * len(self._entries),
            tensors=[
                variables[key].read_value() if value is None else value
                for key, value in self._entries.items()
            ],
        )

    def _variables(self) -> dict[str, Any]:
        """By the names that they have in the file."""
        model = self._model
        found = {_key("weights", name): each for name, each in model.weights.items()}
        found |= {_key("optimizer", name): each for name, each in model.optimizer.items()}
        return found | {"epochs" + VALUE: model.epochs}


def _key(group: str, name: str) -> str:
    return f"{group}/{name.replace('.', '..').replace('/', '.S')}{VALUE}"


def _entries(folder: Path, variables: set[str]) -> dict[str, Any]:
    """What the file of variables holds, in its order: None for a variable, else what is read."""
    import tensorflow as tf

    prefix = str(folder / INDEX.removesuffix(".index"))
    table = {key.decode(): dict(_fields(value)) for key, value in _table(folder / INDEX) if key}
    found: dict[str, Any] = {}
    for name in sorted(table, key=lambda name: table[name].get(4, 0)):
        found[name] = None
        if name not in variables:
            dtypes = [tf.as_dtype(table[name][1])]
            (found[name],) = tf.raw_ops.RestoreV2(
                prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=dtypes
            )
    return found


def plain(array: np.ndarray) -> np.ndarray:
    """TensorFlow gives strings as objects, bytes each."""
    return np.char.decode(array.astype("S"), "utf-8") if array.dtype.hasobject else array


def card(inputs: list[str], outputs: list[str]) -> str:
    """The object must be kept: `load(...).serve(...)` in one line loses the variables."""
    return (
        "import numpy, tensorflow\n"
        'example = numpy.load("examples/one.npz")\n'
        f'model = tensorflow.saved_model.load("{FOLDER}")\n'
        f"{_asked(inputs, outputs)}"
    )


def training_card(inputs: list[str], outputs: list[str], directory: Path) -> str:
    """Leaves "trained/" where it is run: TensorFlow's own way of saving what it has loaded."""
    given = _given(inputs, 'data["input.{}"][rows]')
    ends = '    if data["ends_epoch"][step]:\n        model.end_epoch()\n'
    return (
        "import numpy, tensorflow\n"
        'data = numpy.load("examples/training.npz")\n'
        f'model = tensorflow.saved_model.load("{FOLDER}")\n'
        'for step, recorded in enumerate(data["loss"]):\n'
        '    rows = data["step"] == step\n'
        f"    batch = {given}\n"
        '    loss = model.train_step(batch, data["target"][rows])\n'
        '    print(f"loss {loss:.6f}, with the source {recorded:.6f}")\n'
        f"{ends if _signature(directory)['training']['schedule'] else ''}"
        'tensorflow.saved_model.save(model, "trained", model.signatures)\n'
        'model = tensorflow.saved_model.load("trained")  # predicts, and trains on\n'
        'example = numpy.load("examples/one.npz")\n'
        f"{_asked(inputs, outputs)}"
    )


def _asked(inputs: list[str], outputs: list[str]) -> str:
    taken = ", ".join(f'answer["{name}"]' for name in outputs)
    given = _given(inputs, 'example["input.{}"]')
    return f"answer = model.{ENDPOINT}({given})\noutputs = {taken}"


def _given(inputs: list[str], array: str) -> str:
    named = ", ".join(f'"{name}": {array.format(name)}' for name in inputs)
    return f"{{{named}}}" if len(inputs) > 1 else array.format(inputs[0])


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """By Keras path, read from the table of contents of the variables, without TensorFlow."""
    return _places(directory, "weights")


def optimizer_state(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """As `weights`; empty when it trains not."""
    return _places(directory, "optimizer")


def _places(directory: Path, group: str) -> dict[str, tuple[str, int, int, str]]:
    found = {}
    for key, value in _table(directory / FOLDER / INDEX):
        match = re.fullmatch(f"{group}/(.+){re.escape(VALUE)}", key.decode())
        if match:
            entry = dict(_fields(value))
            dtype = DTYPES.get(entry[1], "uint8")
            name = match[1].replace(".S", "/").replace("..", ".")
            found[name] = (f"{FOLDER}/{DATA}", entry.get(4, 0), entry.get(5, 0), dtype)
    return found


def _root(model: "keras.Model", inputs: Arrays, outputs: list[str]) -> Any:
    """What is saved: `weights` by Keras path, tables, and the functions that predict."""
    import tensorflow as tf

    root = tf.Module()
    root.weights = variables(model)
    root.tables = _tables(model)
    taken = _taken(inputs)

    def serve(inputs: Any) -> dict[str, Any]:
        return _named(model(inputs, training=False), outputs)

    root.serve = tf.function(serve, input_signature=[taken], autograph=False)
    if len(inputs) == len(outputs) == 1:  # MLflow calls the object itself

        def call(inputs: Any) -> Any:
            return root.serve(inputs)[outputs[0]]

        setattr(root, "__call__", tf.function(call, input_signature=[taken], autograph=False))  # noqa: B010
    return root


def _taken(inputs: Arrays) -> Any:
    specs = {name: _spec(name, array) for name, array in inputs.items()}
    return specs if len(specs) > 1 else next(iter(specs.values()))


def variables(model: "keras.Model") -> dict[str, Any]:
    """Keras path -> tf.Variable, in the model's order, metrics left out."""
    metrics = {id(each) for each in model.metrics_variables}
    return _distinct([each for each in model.variables if id(each) not in metrics])


def _distinct(variables: list["keras.Variable"]) -> dict[str, Any]:
    """By path; the second of a path, which layers of one name have, becomes path:2, and so on."""
    found: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for each in variables:
        seen[each.path] = seen.get(each.path, 0) + 1
        count = seen[each.path]
        found[each.path if count == 1 else f"{each.path}:{count}"] = each.value
    return found


def _train(
    root: Any, training: Any, taken: Any, target: np.ndarray | None, outputs: list[str]
) -> None:
    """Adds the optimizer's variables, `train_step`, `end_epoch` and `evaluate`."""
    import tensorflow as tf

    if target is None:
        raise ValueError("found no target, expected an example of one to train on")
    optimizer = training.model.optimizer
    _demand_optimizer(optimizer)
    root.optimizer = _distinct(optimizer.variables)
    root.epochs = tf.Variable(training.epochs, dtype=tf.int64, name="epochs")
    given = [taken, _spec("target", target)]
    root.train_step = tf.function(_step(training), input_signature=given, autograph=False)
    rate, root.schedule = _scheduled(training.schedule)

    def end_epoch() -> None:
        count = root.epochs.assign_add(1)
        if rate is not None:
            optimizer.learning_rate = rate(count)

    def evaluate(inputs: Any, target: Any) -> Any:
        found = training.model(inputs, training=False)
        first = next(iter(_listed(found)))
        loss = training.model.compute_loss(inputs, target, first, training=False)
        return _named(found, outputs), loss

    root.end_epoch = tf.function(end_epoch, input_signature=[], autograph=False)
    root.evaluate = tf.function(evaluate, input_signature=given, autograph=False)
    _demand_traced(root, training)
    _demand_rates(training, rate)


def _demand_optimizer(optimizer: Any) -> None:
    name = type(optimizer).__name__
    if optimizer is None or not optimizer.built:
        raise ValueError(f"optimizer {name}: not built, expected a model compiled and built")
    if optimizer.loss_scale_factor is not None or name == "LossScaleOptimizer":
        raise ValueError(
            f"optimizer {name}: divides gradients by a scale that the loss was not multiplied by; "
            "give one without loss scaling"
        )


def _step(training: Any) -> Callable[..., Any]:
    import tensorflow as tf

    model, clip_norm = training.model, training.clip_norm

    def train_step(inputs: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            first = next(iter(_listed(outputs)))
            loss = model.compute_loss(inputs, target, first, training=True)
        weights = model.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        model.optimizer.apply(gradients, weights)
        return loss

    return train_step


def _scheduled(schedule: Any) -> tuple[Callable[[Any], Any] | None, list[Any]]:
    """The schedule as a graph of an epoch's number, and variables that hold its constants.

    TensorFlow rewrites arithmetic with constants, x / 3 to x * (1 / 3), and would end in another
    learning rate than the source; variables it leaves alone.
    """
    import tensorflow as tf

    if schedule is None:
        return None, []
    graph, kind = _schedule_graph(schedule)
    definition = graph.as_graph_def()
    fixed = [node for node in definition.node if _is_number(node)]
    variables = [tf.Variable(tf.make_ndarray(node.attr["value"].tensor)) for node in fixed]

    def rate(epoch: Any) -> Any:
        given = {inner.name: outer for outer, inner in graph.captures}
        given |= {f"{node.name}:0": each for node, each in zip(fixed, variables, strict=True)}
        given[graph.inputs[0].name] = tf.cast(epoch, kind)
        answer = graph.outputs[0].name
        if answer in given:
            return given[answer]
        return tf.graph_util.import_graph_def(definition, given, [answer], name="schedule")[0]

    return rate, variables


def _schedule_graph(schedule: Any) -> tuple[Any, Any]:
    """A schedule in plain Python may count on dividing as Python does, in 64 bits."""
    import tensorflow as tf

    fault: Exception | None = None
    for kind in (tf.int64, tf.float64):
        function = tf.function(schedule, input_signature=[tf.TensorSpec((), kind)], autograph=False)
        try:
            return function.get_concrete_function().graph, kind
        except (tf.errors.OpError, RuntimeError, LookupError, AssertionError, *WRONG) as error:
            fault = fault or error
    assert fault is not None
    raise ValueError(
        f"schedule {_called_by(schedule)} cannot be traced: {_in_one_line(fault)}"
    ) from fault


def _is_number(node: Any) -> bool:
    import tensorflow as tf

    if node.op != "Const" or node.attr["value"].tensor.tensor_shape.dim:
        return False
    kind = tf.as_dtype(node.attr["dtype"].type)
    return bool(kind.is_floating or kind.is_integer)


def _demand_traced(root: Any, training: Any) -> None:
    """Names who is at fault; a variable of nobody's would neither be saved nor found again."""
    import tensorflow as tf

    model = training.model
    parts = f"optimizer {_called_by(model.optimizer)}, loss {_called_by(model.loss)}"
    try:
        graph = root.train_step.get_concrete_function().graph
    except (tf.errors.OpError, RuntimeError, LookupError, AssertionError, *WRONG) as error:
        raise ValueError(f"{parts}: cannot be traced: {_in_one_line(error)}") from error
    own = {id(each) for each in (*root.weights.values(), *root.optimizer.values())}
    foreign = [each.name for each in graph.variables if id(each) not in own]
    if foreign:
        raise ValueError(f"{parts}: change {foreign[0]}, a variable that is not the model's")


def _demand_rates(training: Any, rate: Callable[[Any], Any] | None) -> None:
    """A trace keeps what Python decided once: the rates of many epochs show it."""
    import tensorflow as tf

    if rate is None:
        return
    schedule, kind = training.schedule, training.model.optimizer.learning_rate.dtype
    signature = [tf.TensorSpec((), tf.int64)]
    traced = tf.function(lambda epoch: tf.cast(rate(epoch), kind), signature, autograph=False)
    for epoch in range(training.epochs + EPOCHS):
        found, expected = traced(epoch).numpy(), np.asarray(schedule(epoch), kind)
        if found.tobytes() != expected.tobytes():
            raise ValueError(
                f"schedule {_called_by(schedule)} gives {found} in the graph and {expected} in "
                f"Python for epoch {epoch}; write it with TensorFlow's functions"
            )


def _called_by(part: Any) -> str:
    """The name of a function, a class or an object's class."""
    return str(part if isinstance(part, str) else getattr(part, "__name__", type(part).__name__))


def _tables(model: "keras.Model") -> list[Any]:
    from tensorflow.saved_model.experimental import TrackableResource

    layers = model._flatten_layers()
    found = [each for layer in layers for each in vars(layer).values()]
    return list(dict.fromkeys(each for each in found if isinstance(each, TrackableResource)))


def _spec(name: str, array: np.ndarray) -> Any:
    import tensorflow as tf

    dtype = tf.string if array.dtype.kind in "USO" else tf.as_dtype(array.dtype)
    return tf.TensorSpec((None, *array.shape[1:]), dtype, name)


def _named(found: Any, outputs: list[str]) -> dict[str, Any]:
    if isinstance(found, dict):
        values = [found[name] for name in outputs if name in found]
    else:
        values = _listed(found)
    if len(values) != len(outputs):
        raise ValueError(f"the model returned {len(values)} tensors, expected one each: {outputs}")
    return dict(zip(outputs, values, strict=True))


def _listed(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return list(found.values())
    return list(found) if isinstance(found, list | tuple) else [found]


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
        _forget_gradients(graph)
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


def _forget_gradients(graph: Any) -> None:
    """None is taken through a step, in which Keras' optimizers (3.15) leave one of a gradient:
    TensorFlow saves only the first and warns of the other at every load.
    """
    library, kind = graph.graph_def.library, "_gradient_op_type"
    for function in library.function:
        if function.signature.name.startswith("__inference_train_step_"):
            for node in function.node_def:
                node.attr.pop(kind, None)
    gradients = {each.registered_op_type: each for each in library.registered_gradients}
    apart = {each.gradient_func for each in gradients.values()}
    functions = {each.signature.name: each for each in library.function}
    queue = [name for name in functions if name not in apart]
    used: dict[str, Any] = {}
    for name in queue:
        for node in functions[name].node_def:
            found = node.attr[kind].s.decode() if kind in node.attr else ""
            if found in gradients and found not in used:
                used[found] = gradients[found]
                queue.append(gradients[found].gradient_func)
    del library.registered_gradients[:]
    for name, each in gradients.items():
        if name in used:
            library.registered_gradients.append(each)
        else:
            graph.object_graph_def.concrete_functions.pop(each.gradient_func, None)


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
        stem = re.sub(r"_\d+", "", name)
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


def screen(directory: Path) -> None:
    """ValueError unless the folder holds known plain files, its graph known operators only, and
    each variable as many bytes as its shape says.

    Takes TensorFlow for its messages, and restores and runs nothing. How long a loop goes on, and
    how much memory operators take, cannot be told.
    """
    folder = directory / FOLDER
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    found = {name: path for name, path in found.items() if path.is_symlink() or not path.is_dir()}
    plain = all(path.is_file() and not path.is_symlink() for path in [*found.values()])
    if folder.is_symlink() or not plain or set(found) != MEMBERS:
        wrong = sorted(set(found) ^ MEMBERS) or sorted(map(str, found.values()))
        raise ValueError(f"{folder}: found {wrong} amiss, expected plain files {sorted(MEMBERS)}")
    for name, limit in LIMITS.items():
        if found[name].stat().st_size > limit:
            raise ValueError(f"{folder}: {name} is larger than {limit} bytes; do not load it")
    content = _read(folder)
    if len(content.meta_graphs) != 1:
        raise ValueError(f"{folder}: found {len(content.meta_graphs)} graphs, expected one")
    (graph,) = content.meta_graphs
    _check_objects(graph, folder)
    _check_operators(graph, folder)
    _check_constants(graph, folder)
    try:
        _check_signature(_signature(directory))
        _check_variables(folder)
    except WRONG_BYTES as error:
        raise ValueError(f"{folder}: {type(error).__name__}: {error}; do not load it") from error


def _check_signature(said: Any) -> None:
    names = [*said["inputs"], *said["outputs"], *said.get("training", {}).get("seeds", [])]
    if not all(isinstance(each, str) for each in names):
        raise TypeError(f"{SIGNATURE} holds other than names")


def _check_constants(graph: Any, folder: Path) -> None:
    """One value may stand for all of a shape: what that unpacks to is limited."""
    total = 0
    for node in _nodes(graph):
        for attribute in node.attr.values():
            for tensor in [attribute.tensor, *attribute.list.tensor]:
                sizes = [each.size for each in tensor.tensor_shape.dim]
                if tensor.dtype:
                    total += max(0, math.prod(sizes) - tensor.ByteSize()) * ITEMSIZE
                if min(sizes, default=0) < 0 or total > LARGEST_CONSTANTS:
                    raise ValueError(
                        f"{folder}: the constant {node.name} has the shape {sizes}, which is not "
                        "stored; do not load it"
                    )


def _check_variables(folder: Path) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto

    stored = (folder / DATA).stat().st_size
    for key, value in _table(folder / INDEX):
        if not key:
            continue
        try:
            entry = BundleEntryProto.FromString(value)
        except DecodeError as error:
            raise ValueError(f"{folder}: {INDEX} is cut off; export it again") from error
        count = math.prod(each.size for each in entry.shape.dim)
        size = count * np.dtype(DTYPES.get(entry.dtype, "uint8")).itemsize
        exact = entry.dtype in DTYPES and size != entry.size
        within = 0 <= entry.offset <= entry.offset + entry.size <= stored
        if exact or count > max(entry.size, 1) or not within or entry.shard_id or entry.slices:
            raise ValueError(
                f"{folder}: {key[:200].decode(errors='replace')!r} of {entry.size} bytes is not "
                "whole in the variables' file; do not load it"
            )


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
    for name in functions:
        if not re.search(r"_\d+$", name):  # as no operator's name ends
            raise ValueError(f"{folder}: function {name} could pass for an operator")
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
# Limits, in bytes, of what is read before anything is known of it.
LIMITS = {"saved_model.pb": 1 << 30, INDEX: 1 << 26, SIGNATURE: 1 << 20}
LARGEST_CONSTANTS, ITEMSIZE, LONGEST_KEY = 1 << 28, 8, 1 << 12


def _table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted string table (LevelDB's format, uncompressed blocks)."""
    content = path.read_bytes()
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
        if len(key) > LONGEST_KEY or at + fresh + length > end:
            raise ValueError(f"{FOLDER}/{INDEX}: malformed; export it again")
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
    while shift < 70:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"{FOLDER}/{INDEX}: malformed; export it again")
