"""A Keras model's state as named arrays: its variables, and what `adapt` learnt beside them."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

Adapted = tuple[Callable[[], Any], Callable[[Any], Any]]
"""Getter and setter."""


def demand_saveable(model: keras.Model) -> None:
    """Raises ValueError naming a layer that holds more than `arrays` finds."""
    for layer in layers(model):
        if hasattr(layer, "set_vocabulary") and layer.get_config()["output_mode"] == "tf_idf":
            raise ValueError(
                f"model.net: {layer.name}: found output_mode tf_idf, whose weights no checkpoint "
                "would hold; expected int, count, one_hot or multi_hot"
            )


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Of the model and its optimizer, by name."""
    return variables(model) | {name: np.array(get()) for name, (get, _) in _adapted(model).items()}


def variables(model: keras.Model) -> dict[str, np.ndarray]:
    """The same without what `adapt` learnt and holds in no variable."""
    return {name: variable.numpy() for name, variable in _variables(model).items()}


def restore(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Bit for bit. Raises ValueError naming what `state` or the model lacks, before any change."""
    variables, adapted = _variables(model), _adapted(model)
    for name in sorted({*variables, *adapted} ^ set(state)):
        raise ValueError(f"{'the model' if name in state else 'the checkpoint'} lacks {name}")
    for name, variable in variables.items():
        if state[name].shape != tuple(variable.shape):
            found, expected = state[name].shape, tuple(variable.shape)
            raise ValueError(f"{name} has shape {found}, expected {expected}")
    for name, variable in variables.items():
        variable.assign(state[name])
    for name, (get, put) in adapted.items():
        if list(get()) != state[name].tolist():
            put(state[name].tolist())
    for layer in layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def layers(model: keras.Model) -> list[keras.Layer]:
    """The model and all layers within layers."""
    return list(model._flatten_layers(include_self=True, recursive=True))


def seeds(model: keras.Model) -> list[keras.Variable]:
    """The states of all random generators."""
    return [each for each in model.variables if each.path.endswith("seed_generator_state")]


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Metrics, which every epoch begins anew, are left out."""
    metrics = {id(variable) for variable in model.metrics_variables}
    kept = [variable for variable in model.variables if id(variable) not in metrics]
    found = [(f"net/{variable.path}", variable) for variable in kept]
    optimizer = model.optimizer.variables
    return _distinct(found + [(f"optimizer/{variable.path}", variable) for variable in optimizer])


def _adapted(model: keras.Model) -> dict[str, Adapted]:
    """What layers learnt in `adapt` and hold in no variable."""
    found: list[tuple[str, Any]] = []
    for layer in layers(model):
        if hasattr(layer, "set_vocabulary"):
            found.append((f"vocabulary/{layer.name}", _vocabulary(layer)))
        elif isinstance(layer, keras.layers.Discretization):
            found.append((f"boundaries/{layer.name}", _boundaries(layer)))
    return _distinct(found)


def _vocabulary(layer: Any) -> Adapted:
    return lambda: layer.get_vocabulary(include_special_tokens=False), layer.set_vocabulary


def _boundaries(layer: Any) -> Adapted:
    return lambda: layer.bin_boundaries or [], lambda found: setattr(layer, "bin_boundaries", found)


def _distinct(found: list[tuple[str, Any]]) -> dict[str, Any]:
    """The second of a name becomes name:2, and so on."""
    named: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for name, value in found:
        seen[name] = seen.get(name, 0) + 1
        named[name if seen[name] == 1 else f"{name}:{seen[name]}"] = value
    return named
