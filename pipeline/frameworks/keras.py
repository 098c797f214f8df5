"""Keras on TensorFlow: one training step after the other, and all that a bitwise resume needs."""

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from . import _keras_start, _keras_state, _keras_steps
from ._keras_building import build as build
from ._keras_demands import demand_own_states
from ._keras_import import keras, tf
from ._keras_preprocessing import adapt as adapt
from ._keras_saving import averaged
from ._keras_saving import load as load
from ._keras_saving import save as save
from ._keras_saving import snapshot as snapshot
from ._keras_stored import Value
from ._keras_training import Training as Training
from .contract import RanksModule, Spec

SUFFIX = ".npz"
TRAINS = True
FAULTS = (tf.errors.OpError,)
BASES = {
    "net": keras.Model,
    "loss": keras.losses.Loss,
    "optimizer": keras.optimizers.Optimizer,
    "scheduler": keras.optimizers.schedules.LearningRateSchedule,
}
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


Arrays = Mapping[str, np.ndarray]


def configure(threads: int, replicas: int = 1) -> None:
    """Makes the process deterministic, but for the seed; before anything is built. Each replica may
    have a device of the processor's, and the threads of one process."""
    keras.utils.clear_session(free_memory=False)  # names, by which `save` files, count from 0
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads * replicas)
    if replicas > 1:
        (processor,) = tf.config.list_physical_devices("CPU")
        one = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(processor, [one] * replicas)
    tf.config.experimental.enable_op_determinism()


def seed(value: int, training: Training | None = None) -> None:
    """Seeds every generator that a model may draw from, those of its layers included."""
    keras.utils.set_random_seed(value)
    for index, state in enumerate(_keras_state.seeds(training.model) if training else []):
        drawn = np.random.SeedSequence([value, index]).generate_state(1)[0]
        state.assign(np.array([drawn >> 1, 0]))


def randomness(_: Any) -> dict[str, np.ndarray]:
    """Returns nothing: a model's generators are variables of it, which `save` writes."""
    return {}


def set_randomness(_: Any, states: Arrays) -> None:
    """Sets nothing, for `randomness` returns nothing."""
    assert not states


def over_ranks(strategy: str) -> RanksModule[Training]:
    """Raises ValueError: there is nothing that could."""
    raise ValueError(
        f"train.distributed.strategy: found {strategy} over processes, but Keras' fit fails under "
        "MultiWorkerMirroredStrategy; its replicas are of one process"
    )


def sources(training: Training) -> list[str]:
    """Returns the top-level packages, other than Keras and TensorFlow, that the model's parts come
    from: layers, their activations and other functions, initializers, loss, optimizer."""
    parts = [*training.losses, training.model.optimizer, *_keras_state.layers(training.model)]
    kinds = (FunctionType, keras.Initializer, keras.Regularizer, keras.constraints.Constraint)
    parts += [v for part in parts for v in vars(part).values() if isinstance(v, kinds)]
    modules = {p.__module__ if isinstance(p, FunctionType) else type(p).__module__ for p in parts}
    return sorted({name.split(".")[0] for name in modules} - {"keras", "tensorflow"})


def step(training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> tf.Tensor:
    """Takes one step on the rows of these numbers; returns its loss, a scalar."""
    program = _program(training, _keras_steps.stepping)
    batch = _keras_steps.tensors(inputs, rows), _keras_steps.tensors(targets, rows)
    loss = program(*_keras_steps.arguments(*batch))
    if training.schedule_by == "step":
        training.advance(int(training.model.optimizer.iterations))
    return loss


def end_epoch(training: Training, val_loss: float = float("nan")) -> None:
    """Brings the learning rate to that of the next epoch."""
    training.epochs += 1
    if training.average is not None:
        training.average.epochs.assign(training.epochs)
    if training.schedule_by == "epoch":
        training.advance(training.epochs)


def evaluate(
    training: Training, inputs: Arrays, targets: Arrays | None
) -> tuple[dict[str, np.ndarray], float]:
    """Returns the outputs by name in evaluation mode, and the loss (NaN without targets), of one
    batch."""
    training = training.predicting
    make = _keras_steps.answering if targets is None else _keras_steps.judging
    program = _program(training, make, targets is not None)
    batch = _keras_steps.tensors(inputs), _keras_steps.tensors(targets or {})
    outputs, loss = program(*_keras_steps.arguments(*batch))
    named = {name: outputs[name].numpy() for name in training.outputs or outputs}
    return named, float(loss) if np.ndim(loss) == 0 else float("nan")


def _program(
    training: Training, make: Callable[..., Any], has_targets: bool = True
) -> Callable[..., Any]:
    """Returns the program, traced once for any number of rows: a trace for each would compute each
    in its own way."""
    if make not in training.programs:
        targets = training.targets if has_targets else {}
        signature = _keras_steps.arguments(training.inputs, targets)
        program = tf.function(make(training), input_signature=signature, autograph=False)
        if training.own.trains and make is _keras_steps.stepping:
            demand_own_states(training, program)
        training.programs[make] = program
    return training.programs[make]


def loss_of(training: Training, inputs: Arrays, outputs: Arrays, targets: Arrays) -> float | None:
    """Returns the loss of these outputs, whatever the model answers; None where its own test_step
    makes it."""
    if training.own.judges:
        return None
    batch, answers, truths = map(_keras_steps.tensors, (inputs, outputs, targets))
    return float(training.total(batch, answers, truths))


def state_outside(training: Training) -> dict[str, bytes]:
    """Returns a digest of each value in an attribute of the model, its own layers and its loss."""
    return _keras_state.outside(training.model, training.losses)


def predictor(training: Training, inputs: Arrays) -> keras.Model:
    """Returns the model, compiled and built; it predicts unless called with training=True."""
    return training.predicting.predictor(_keras_steps.tensors(inputs))


def state(training: Training) -> dict[str, np.ndarray]:
    """Returns net/<path> of every weight and seed, optimizer/<path> of the optimizer's own."""
    return averaged(training, _keras_state.variables(training.model))


def views(training: Training) -> Iterable[tuple[str, np.ndarray]]:
    """Yields the same, a copy of one variable at a time."""
    arrays = {name: Value(each) for name, each in _keras_state.held(training.model).items()}
    return ((name, np.asarray(each)) for name, each in averaged(training, arrays).items())


def set_weights(training: Training, weights: Arrays) -> None:
    """Sets variables of the model, named net/<path>, to what `state` gave or the like."""
    _keras_state.assign(training.predicting.model, weights)


def weight_specs(training: Training, naming: str) -> dict[str, Spec]:
    """Returns every tensor that a checkpoint of this model holds, by the names of its kind."""
    return _keras_start.weight_specs(training, naming)


def start(
    training: Training, naming: str, weights: Mapping[str, Any], optimizer: Any, scheduler: Any
) -> list[str]:
    """Sets these tensors and, where it is given, the optimizer's state; Keras has the schedule's in
    that. Returns notes. Raises ValueError."""
    return _keras_start.start(training, naming, weights, optimizer)


save_whole = save


def unmerged(training: Training, inputs: Arrays) -> dict[str, np.ndarray]:
    """Returns nothing: an adapter is of a PyTorch net alone."""
    return {}
