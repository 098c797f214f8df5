"""Keras on TensorFlow: one training step after the other, and all that a bitwise resume needs."""

import contextlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np


@contextlib.contextmanager
def _quiet(*refused: str) -> Iterator[None]:
    """Nothing reaches stderr, not even from C++, and the modules `refused` count as missing."""
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    absent = [name for name in refused if name not in sys.modules]
    os.dup2(nowhere, 2)
    try:
        sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
        yield
    finally:
        for name in absent:
            del sys.modules[name]
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # the default, but it changes results
with _quiet("matplotlib", "pandas", "sklearn"):  # a third of the import; Keras does without
    import keras
    import tensorflow as tf

    from pipeline.frameworks import _keras_state

SUFFIX = ".npz"
BASES = {
    "net": keras.Model,
    "loss": keras.losses.Loss,
    "optimizer": keras.optimizers.Optimizer,
    "scheduler": keras.optimizers.schedules.LearningRateSchedule,
}
"""What each part of a model's configuration is a class of."""

PARTS = {
    "packages": ("keras",),
    "parts": (
        *BASES.values(),
        keras.Layer,
        keras.Initializer,
        keras.Regularizer,
        keras.constraints.Constraint,
    ),
}
"""Where its classes come from, and what may stand in its arguments."""

Arrays = Mapping[str, np.ndarray]
Specs = Mapping[str, Mapping[str, Any]]

ADAPT_ROWS = 4096
"""Rows that `adapt` looks at at once."""

FITTED = ("mean", "vocabulary", "bin_boundaries")
"""Arguments of preprocessing layers that take the place of `adapt`."""

DRAWS = ("Random", "Multinomial", "TruncatedNormal", "ParameterizedTruncated", "Stateful")
"""TensorFlow's operations that hold a random state of their own begin so."""


@dataclass
class Training:
    """A compiled model, built, with all that its next step depends on but the seed."""

    model: keras.Model
    inputs: dict[str, tf.TensorSpec]
    schedule: Callable[[int], Any] | None
    clip_norm: float | None
    epochs: int = 0
    """Trained so far."""
    programs: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    """Traced functions; void as soon as a lookup table is replaced."""


def configure(threads: int) -> None:
    """Makes the process deterministic, but for the seed; before anything is built."""
    keras.utils.clear_session(free_memory=False)  # names, by which `save` files, count from 0
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()


def seed(value: int, training: Training | None = None) -> None:
    """Of every generator that a model may draw from, the state of its layers' own included."""
    keras.utils.set_random_seed(value)
    for index, state in enumerate(_keras_state.seeds(training.model) if training else []):
        drawn = np.random.SeedSequence([value, index]).generate_state(1)[0]
        state.assign(np.array([drawn >> 1, 0]))


def randomness(_: Any) -> dict[str, np.ndarray]:
    """Nothing: the states of a model's generators are variables of it, which `save` keeps."""
    return {}


def set_randomness(_: Any, states: Arrays) -> None:
    assert not states


def build(
    net: Callable[[], keras.Model],
    loss: Callable[[], keras.losses.Loss],
    optimizer: Callable[[], keras.optimizers.Optimizer],
    scheduler: Callable[[], Callable[[int], Any]] | None,
    inputs: Specs,
    device: str,
    clip_norm: float | None,
) -> Training:
    """`inputs` have dtype and row shape by name. Raises ValueError, one line.

    `scheduler` is asked for the learning rate with the number of epochs trained so far.
    """
    _place(device)
    specs = {
        name: tf.TensorSpec((None, *spec["shape"]), spec["dtype"], name)
        for name, spec in inputs.items()
    }
    model = net()
    _demand_names(model, list(specs))
    _keras_state.demand_saveable(model)
    model.compile(optimizer=optimizer(), loss=loss(), jit_compile=False)
    schedule = scheduler() if scheduler else None
    training = Training(model, specs, schedule, clip_norm)
    _call_once(training)
    model.optimizer.build(model.trainable_variables)
    if schedule is not None:
        if not isinstance(model.optimizer._learning_rate, keras.Variable):
            raise ValueError(
                "model.scheduler: found one, and a schedule as the optimizer's learning_rate as "
                "well; expected one of them"
            )
        model.optimizer.learning_rate = schedule(0)
    return training


def _place(device: str) -> None:
    """TensorFlow takes a GPU wherever it sees one."""
    devices = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not devices:
        raise ValueError("train.device: found cuda, but TensorFlow sees no GPU; set cpu or auto")
    if device == "cpu" and devices:
        tf.config.set_visible_devices([], "GPU")


def _demand_names(model: keras.Model, inputs: list[str]) -> None:
    """Several inputs of a subclassed model come as one dict: its first call will tell."""
    called = [tensor.name for tensor in getattr(model, "inputs", None) or []]
    if called and sorted(called) != sorted(inputs):
        raise ValueError(
            f"model.net: its inputs are {called}, data.inputs has {inputs}; name them alike"
        )
    first = next(iter(inspect.signature(model.call).parameters))
    if not called and len(inputs) == 1 and first not in (inputs[0], "inputs"):
        raise ValueError(
            f"model.net: its call takes {first!r}, data.inputs has {inputs[0]!r}; name them alike "
            "or call it inputs"
        )


def _call_once(training: Training) -> None:
    """Makes the weights without running anything, for a lookup table may still be empty."""
    symbols = {
        name: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name)
        for name, spec in training.inputs.items()
    }
    try:
        training.model(_one_or_all(symbols))
    except (KeyError, RuntimeError, ValueError) as fault:
        raise ValueError(
            f"model.net: {_one_line(fault)}; data.inputs has {list(symbols)}"
        ) from None


def _one_line(fault: Exception) -> str:
    """Keras' message without colours and without the arguments of the call."""
    text = str(fault.args[0]).partition("Arguments received")[0]
    return " ".join(re.sub("\x1b\\[\\d+m", "", text).split())


def _demand_own_randomness(training: Training) -> None:
    """A state that is not the model's would neither be seeded nor saved."""
    model = training.model
    call = tf.function(lambda inputs: model(inputs, training=True), autograph=False)
    graph = call.get_concrete_function(_one_or_all(training.inputs)).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    found = [node.name for node in nodes if node.op.startswith(DRAWS)]
    own = {id(variable.value) for variable in model.variables}
    found += [each.name for each in graph.variables if id(each) not in own]
    if found:
        raise ValueError(
            f"{found[0]} holds a state that is not the model's, so that a resumed run "
            "would differ; draw from keras.random with a SeedGenerator that a layer keeps"
        )


def sources(training: Training) -> list[str]:
    """The top-level packages, other than Keras and TensorFlow, that the model's parts come from:
    layers, their activations and other functions, initializers and the like, loss, optimizer."""
    parts = [training.model.loss, training.model.optimizer, *_keras_state.layers(training.model)]
    kinds = (FunctionType, keras.Initializer, keras.Regularizer, keras.constraints.Constraint)
    parts += [v for part in parts for v in vars(part).values() if isinstance(v, kinds)]
    modules = {p.__module__ if isinstance(p, FunctionType) else type(p).__module__ for p in parts}
    return sorted({name.split(".")[0] for name in modules} - {"keras", "tensorflow"})


def adapt(training: Training, inputs: Arrays) -> None:
    """Fits preprocessing to the training rows (memory-mapped), in one of two ways.

    A model with an `adapt` gets them by name. Otherwise each layer of a functional model that has
    one gets what reaches it, as an iterable of batches, unless it was built with its statistics.
    Raises ValueError, one line.
    """
    model = training.model
    if hasattr(model, "adapt"):
        model.adapt(**inputs)
    elif getattr(model, "inputs", None):
        for layer in model.layers:
            if hasattr(layer, "adapt") and not _is_fitted(layer):
                layer.adapt(_reaching(training, layer, inputs))
    training.programs.clear()
    _demand_own_randomness(training)


def _is_fitted(layer: keras.Layer) -> bool:
    config = layer.get_config()
    return any(config.get(argument) is not None for argument in FITTED)


def _reaching(training: Training, layer: keras.Layer, inputs: Arrays) -> Iterator[Any]:
    before = keras.Model(training.model.inputs, layer.input)
    count = len(next(iter(inputs.values())))
    for start in range(0, count, ADAPT_ROWS):
        yield before(_tensors(inputs, slice(start, start + ADAPT_ROWS)), training=False)


def step(training: Training, inputs: Arrays, target: np.ndarray, rows: np.ndarray) -> tf.Tensor:
    """One step on the rows of these numbers; its loss, a scalar."""
    program = _program(training, _step, target, training.clip_norm)
    return program(_tensors(inputs, rows), target[rows])


def _step(model: keras.Model, clip_norm: float | None) -> Callable[..., tf.Tensor]:
    def step(inputs: Any, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = _listed(model(inputs, training=True))
            loss = model.compute_loss(inputs, target, outputs[0], training=True)
        weights = model.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        if clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
        model.optimizer.apply(gradients, weights)
        return loss

    return step


def end_epoch(training: Training) -> None:
    """Brings the learning rate to that of the next epoch."""
    training.epochs += 1
    if training.schedule is not None:
        training.model.optimizer.learning_rate = training.schedule(training.epochs)


def predict(
    training: Training, inputs: Arrays, target: np.ndarray | None, batch_size: int
) -> tuple[list[np.ndarray], float]:
    """Outputs in evaluation mode, and the mean loss (NaN without a target)."""
    answer = _program(training, _answer if target is None else _judged, target)
    found: list[list[np.ndarray]] = []
    total, count = 0.0, len(next(iter(inputs.values())))
    for start in range(0, count, batch_size):
        rows = slice(start, min(start + batch_size, count))
        arguments = () if target is None else (target[rows],)
        outputs, loss = answer(_tensors(inputs, rows), *arguments)
        total += float(loss) * (rows.stop - rows.start)
        found.append([tensor.numpy() for tensor in outputs])
    joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    return joined, total / count


def _answer(model: keras.Model) -> Callable[..., Any]:
    return lambda inputs: (_listed(model(inputs, training=False)), float("nan"))


def _judged(model: keras.Model) -> Callable[..., Any]:
    def judged(inputs: Any, target: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        outputs = _listed(model(inputs, training=False))
        return outputs, model.compute_loss(inputs, target, outputs[0], training=False)

    return judged


def _program(
    training: Training, make: Callable[..., Any], target: np.ndarray | None, *settings: Any
) -> Callable[..., Any]:
    """Traced once, for any number of rows: a trace for each would compute each in its own way."""
    key = (make, target is None, *settings)
    if key not in training.programs:
        signature = [_one_or_all(training.inputs)]
        signature += [] if target is None else [tf.TensorSpec((None,), target.dtype)]
        training.programs[key] = tf.function(
            make(training.model, *settings), input_signature=signature, autograph=False
        )
    return training.programs[key]


def predictor(training: Training) -> keras.Model:
    """Compiled and built; it predicts unless it is called with training=True."""
    return training.model


def state(training: Training) -> dict[str, np.ndarray]:
    """net/<path> of every weight and seed, optimizer/<path> of what it keeps."""
    return _keras_state.variables(training.model)


def save(training: Training, path: Path) -> None:
    """The same state gives the same bytes, whatever the file is called."""
    state = _keras_state.arrays(training.model)
    with path.open("wb") as file:
        np.savez(file, epochs=np.int64(training.epochs), **state)  # type: ignore[arg-type]


def load(training: Training, path: Path) -> None:
    """As when `save` was called, but for the seed. Raises ValueError for another net's file."""
    with np.load(path, allow_pickle=False) as file:
        state = dict(file)
    training.epochs = int(state.pop("epochs"))
    try:
        _keras_state.restore(training.model, state)
    except ValueError as fault:
        raise ValueError(f"{path}: of another model: {fault}") from None
    training.programs.clear()


def _listed(outputs: Any) -> list[Any]:
    """In the order of model.outputs; the first is judged by the loss."""
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def _tensors(inputs: Arrays, rows: Any) -> Any:
    return _one_or_all({k: tf.convert_to_tensor(v[rows]) for k, v in inputs.items()})


def _one_or_all(inputs: Mapping[str, Any]) -> Any:
    """How a model is called: with its only input, or with a dict by name."""
    return dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))
