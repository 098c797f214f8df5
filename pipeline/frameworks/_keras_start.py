"""A Keras training begins where one ended that was not ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _keras_state
from ._keras_demands import demand_own_randomness
from ._keras_import import keras
from ._keras_names import Setting, Words, places
from ._keras_training import Training
from .contract import Spec

OTHERWISE = "set model.optimizer to it, or train.start_with to weights"
LISTS = ("_variables", "_trainable_variables", "_trainable_variables_indices")
"""Of an optimizer, which do not say what it keeps."""
TOLD_APART = frozenset(
    ("adam", "adamw", "adamax", "nadam", "sgd", "rmsprop", "adagrad", "adadelta", "ftrl", "lion")
)
"""What an optimizer is called unless somebody named it."""


def weight_specs(training: Training, naming: str) -> dict[str, Spec]:
    """Returns every tensor that a checkpoint of this model holds, by the names of its kind."""
    named = places(_net(training), naming).items()
    return {name: Spec(tuple(place.shape), str(place.dtype)) for name, place in named}


def start(training: Training, naming: str, weights: Mapping[str, Any], optimizer: Any) -> list[str]:
    """Sets the tensors and, where it is given, the optimizer's state. Raises ValueError before any
    change; returns notes."""
    named = places(_net(training), naming)
    for name, value in weights.items():
        if name not in named or tuple(value.shape) != tuple(named[name].shape):
            raise ValueError(f"{name}: found the shape {tuple(value.shape)}, expected another")
        if isinstance(named[name], Setting):
            named[name].demand_same(value)
    notes = _boundaries(training, named)
    state, more = ([], []) if optimizer is None else _fitting(training, optimizer, named)
    notes += more
    for name, value in weights.items():
        _assign(named[name], value)
    for variable, value in state:
        _assign(variable, value)
    notes += _settle(training, naming)
    if optimizer is not None and training.schedule is not None:
        by_step = training.schedule_by == "step"
        steps = int(training.model.optimizer.iterations)
        training.advance(steps if by_step else training.epochs)
        notes.append("the learning rate is that of model.scheduler, not the checkpoint's")
    return notes


def _net(training: Training) -> keras.Model:
    return training.inner or training.model


def _assign(place: Any, value: Any) -> None:
    array = np.asarray(value)
    place.assign(
        array if isinstance(place, Words | Setting) else array.astype(place.dtype, copy=False)
    )


def _settle(training: Training, naming: str) -> list[str]:
    """Brings all that hangs on the weights after them."""
    for layer in _keras_state.layers(training.model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    if training.average is not None:
        training.average.copy(training.model)
    training.programs.clear()
    demand_own_randomness(training.model, training.inputs)
    if naming == "own" or not _keras_state.seeds(training.model):
        return []
    return [
        "no file of Keras holds the state of random generators: dropout's masks are of train.seed"
    ]


def _boundaries(training: Training, named: Mapping[str, Any]) -> list[str]:
    """Returns a note on the boundaries that this kind of checkpoint holds none of, nor a subclass
    of Model in any. Raises ValueError where the net has none either."""
    held = {id(place.layer) for place in named.values() if isinstance(place, Setting)}
    notes = []
    for layer in _keras_state.layers(training.model):
        if isinstance(layer, keras.layers.Discretization) and id(layer) not in held:
            if not layer.bin_boundaries:
                raise ValueError(
                    f"{layer.name}: the checkpoint holds no boundaries of a Discretization, and "
                    "model.net builds it with none; build it with bin_boundaries"
                )
            notes.append(
                f"the checkpoint holds no boundaries; those of {layer.name} are model.net's"
            )
    return notes


def _fitting(
    training: Training, state: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Returns the optimizer's variables, each with its value, and notes. Raises ValueError."""
    optimizer = training.model.optimizer
    _demand_kind(optimizer, state)
    rate = optimizer._learning_rate
    heads = [optimizer.iterations, *([rate] if isinstance(rate, keras.Variable) else [])]
    slots = [v for v in optimizer.variables if all(v is not head for head in heads)]
    values, value = list(state["variables"][1:]), state["learning_rate"]
    if len(values) == len(slots) + 1 and tuple(values[0].shape) == ():
        value, *values = values
    if "named" in state:
        slots, values = _in_order(slots, state["named"], training, found)
    _demand_fit(optimizer, slots, values)
    pairs = [(optimizer.iterations, state["variables"][0]), *zip(slots, values, strict=True)]
    notes: list[str] = []
    if value is not None and len(heads) == 2:
        pairs.append((rate, np.asarray(value)))
        before, now = float(rate), float(np.asarray(value, np.float32))
        if before != now and training.schedule is None:
            notes.append(f"the learning rate is the checkpoint's, {now:g} in place of {before:g}")
    return pairs, notes + _differences(optimizer, state["settings"])


def _demand_kind(optimizer: keras.Optimizer, state: Mapping[str, Any]) -> None:
    """Raises ValueError where the file names another optimizer, or lists what another keeps."""
    own, kind, lists = type(optimizer).__name__, state["kind"], state.get("lists")
    differs = kind is not None and (_plain(kind) in TOLD_APART or kind != kind.lower())
    if differs and _plain(kind) != _plain(own):
        raise ValueError(
            f"model.optimizer: found {own}, the checkpoint has the state of {kind}; {OTHERWISE}"
        )
    held = {
        k.strip("_") for k, v in vars(optimizer).items() if isinstance(v, list) and k not in LISTS
    }
    if lists is not None and {_plain(each) for each in lists} - {_plain(each) for each in held}:
        raise ValueError(
            f"model.optimizer: found {own}, which keeps {', '.join(sorted(held)) or 'nothing'}, "
            f"the checkpoint has {', '.join(sorted(lists))}; {OTHERWISE}"
        )


def _in_order(
    slots: list[Any],
    named: Mapping[tuple[str, str], Any],
    training: Training,
    found: Mapping[str, Any],
) -> tuple[list[Any], list[Any]]:
    """Returns the optimizer's variables of which the file has the values by kind and weight, and
    these; of a weight that was never trained it has none. Raises ValueError for what has no place,
    or where a weight has one kind and lacks another."""
    names = {id(place): name for name, place in found.items()}
    keys = {
        f"{weight.path.replace('/', '_')}_{kind}": (kind, names.get(id(weight), ""))
        for weight in training.model.trainable_variables
        for kind, _ in named
    }
    placed = {slot.path: keys.get(slot.path.rpartition("/")[2], ("", "")) for slot in slots}
    trained = {weight for _, weight in named}
    own = {path: key for path, key in placed.items() if key[1] in trained or not key[0]}
    if others := sorted(set(named) ^ set(own.values())):
        kind, weight = others[0]
        raise ValueError(
            f"model.optimizer: {type(training.model.optimizer).__name__} keeps no {kind} of "
            f"{weight}, as the checkpoint does; {OTHERWISE}"
        )
    chosen = [slot for slot in slots if slot.path in own]
    return chosen, [named[own[slot.path]] for slot in chosen]


def _demand_fit(optimizer: keras.Optimizer, slots: list[Any], values: list[Any]) -> None:
    own = type(optimizer).__name__
    if len(slots) != len(values):
        raise ValueError(
            f"model.optimizer: found {own}, which keeps {len(slots)} tensors for these weights, "
            f"the checkpoint has {len(values)}; {OTHERWISE}"
        )
    for slot, value in zip(slots, values, strict=True):
        if tuple(slot.shape) != tuple(value.shape):
            raise ValueError(
                f"model.optimizer: {slot.path} has the shape {tuple(slot.shape)}, the "
                f"checkpoint's {tuple(value.shape)}; {OTHERWISE}"
            )


def _differences(optimizer: keras.Optimizer, settings: Mapping[str, Any]) -> list[str]:
    """Returns a sentence for each setting that is another in the file; the configuration's hold,
    for a run that goes on is built of them."""
    own = optimizer.get_config()
    return [
        f"model.optimizer.{key} is {own[key]} and was {value} in the checkpoint's training"
        for key, value in settings.items()
        if key != "learning_rate" and key in own and not _same(own[key], value)
    ]


def _same(one: Any, other: Any) -> bool:
    """Returns whether two settings are the same; Keras writes some as 32 bits hold them."""
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.float32(one) == np.float32(other))
    return bool(one == other)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
