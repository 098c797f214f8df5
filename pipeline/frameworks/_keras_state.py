"""A Keras model's state as named arrays: its variables, and what `adapt` learnt beside them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ._attributes import digest
from ._keras_import import keras, tf
from ._keras_stored import Value, shape

KERAS_OWN = frozenset({*vars(keras.Layer()), *vars(keras.Model()), *vars(keras.losses.Loss())})
"""Attributes that every layer, model and loss has."""
HELD = (keras.Layer, keras.Variable, keras.Optimizer, keras.random.SeedGenerator)
"""Of these a checkpoint holds the state."""
Adapted = tuple[Callable[[], Any], Callable[[Any], Any]]
"""What reads a value that `adapt` learnt, and what sets it."""


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the whole state of the model and its optimizer, by name."""
    return variables(model) | {name: np.array(get()) for name, (get, _) in _adapted(model).items()}


def views(model: keras.Model) -> dict[str, Any]:
    """Returns what `arrays` does, of variables as values that become arrays one by one."""
    values = {name: Value(variable) for name, variable in held(model).items()}
    return values | {name: np.array(get()) for name, (get, _) in _adapted(model).items()}


def variables(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the same without what `adapt` learnt and no variable holds."""
    return {name: variable.numpy() for name, variable in held(model).items()}


def assign(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Sets the variables of these names."""
    variables = held(model)
    for name, value in values.items():
        variables[name].assign(value)


def restore(model: keras.Model, state: Mapping[str, np.ndarray], *, alone: bool = False) -> None:
    """Sets the whole state, or that of the model alone, without the optimizer's, bit for bit.
    Raises ValueError naming what `state` or the model lacks, before any change."""
    variables, adapted = named(model) if alone else held(model), _adapted(model)
    for name in sorted({*variables, *adapted} ^ set(state)):
        raise ValueError(f"{'the model' if name in state else 'the checkpoint'} lacks {name}")
    for name, variable in variables.items():
        if (found := shape(state, name)) != tuple(variable.shape):
            raise ValueError(f"{name} has shape {found}, expected {tuple(variable.shape)}")
    for name, variable in variables.items():
        variable.assign(state[name])
    for name, (get, put) in adapted.items():
        if list(get()) != state[name].tolist():
            put(state[name].tolist())
    for layer in layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the model and all layers within layers."""
    return list(model._flatten_layers(include_self=True, recursive=True))


def outside(model: keras.Model, losses: Iterable[Any]) -> dict[str, bytes]:
    """Returns digests of attributes that no variable holds, by name: those of the model and of
    layers and losses that are not Keras' own, which know what they hold."""
    digests: dict[str, bytes] = {}
    named = [("model.net", model), *((f"model.net.{each.name}", each) for each in layers(model))]
    for path, part in [*named, *(("model.loss", each) for each in losses)]:
        if part is None or type(part).__module__.partition(".")[0] == "keras":
            continue
        for name, value in vars(part).items():
            if name in KERAS_OWN or isinstance(value, keras.Layer | keras.Variable):
                continue
            if (content := digest(value, _as_bytes)) is not None:
                digests[f"{path}.{name}"] = content
    return digests


def _as_bytes(value: Any) -> bytes | None:
    if isinstance(value, HELD):
        return b""
    if isinstance(value, tf.Variable) or (tf.is_tensor(value) and hasattr(value, "numpy")):
        return f"{value.dtype} {value.shape} ".encode() + np.asarray(value.numpy()).tobytes()
    return None


def seeds(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of all random generators."""
    return [state for state in model.variables if state.path.endswith("seed_generator_state")]


def named(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns net/<path> of the model's variables. Metrics, which every epoch begins anew, are left
    out."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return _distinct([(f"net/{v.path}", v) for v in model.variables if id(v) not in metrics])


def held(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the variables of the model and its optimizer, by name."""
    of_optimizer = [(f"optimizer/{v.path}", v) for v in model.optimizer.variables]
    return named(model) | _distinct(of_optimizer)


def learning(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns the layers that learn in `adapt` what no variable holds, by the name of that."""
    named: list[tuple[str, Any]] = []
    for layer in layers(model):
        if hasattr(layer, "set_vocabulary"):
            named.append((f"vocabulary/{layer.name}", layer))
        elif isinstance(layer, keras.layers.Discretization):
            named.append((f"boundaries/{layer.name}", layer))
    return _distinct(named)


def _adapted(model: keras.Model) -> dict[str, Adapted]:
    """Returns what layers learnt in `adapt` and hold in no variable."""
    return {
        name: _vocabulary(layer) if hasattr(layer, "set_vocabulary") else _boundaries(layer)
        for name, layer in learning(model).items()
    }


def _vocabulary(layer: Any) -> Adapted:
    return lambda: layer.get_vocabulary(include_special_tokens=False), layer.set_vocabulary


def _boundaries(layer: Any) -> Adapted:
    return lambda: layer.bin_boundaries or [], lambda ends: setattr(layer, "bin_boundaries", ends)


def _distinct(named: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the values under names of their own: the second of a name becomes name:2, and so
    on."""
    distinct: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for name, value in named:
        counts[name] = counts.get(name, 0) + 1
        distinct[name if counts[name] == 1 else f"{name}:{counts[name]}"] = value
    return distinct
