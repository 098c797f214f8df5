"""What kinds of checkpoints call the variables of a Keras model."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable

from . import _keras_state
from ._config_state import KEYS, values
from ._keras_import import keras
from ._layer_names import TOP, named, public
from ._object_paths import LAYER, TRAINABLE, is_of_net, shortest

ASSETS = "_and_assets"
VOCABULARY = "vocabulary.txt"
BOUNDARIES = "bin_boundaries"
SEED = "seed_generator_state"


class Words:
    """The vocabulary of a layer that learns one."""

    shape, dtype = (), "object"

    def __init__(self, layer: keras.Layer):
        self.layer = layer

    def assign(self, value: Any) -> None:
        """Sets it, as numbers where the layer looks numbers up. Raises ValueError for words that it
        does not take."""
        inner, words = getattr(self.layer, "_lookup_layer", self.layer), value[()]
        numbers = "int" in str(inner.vocabulary_dtype)
        self.layer.set_vocabulary([int(word) for word in words] if numbers else list(words))


class Setting:
    """What a layer learnt or was given, and has in its configuration alone."""

    shape, dtype = (), "object"

    def __init__(self, layer: keras.Layer, key: str, own: Any):
        self.layer, self.key, self.own = layer, key, own

    def demand_same(self, value: Any) -> None:
        """Raises ValueError where the layer was built with another."""
        its = np.asarray(value)[()]
        if self.own is not None and self.own != its:
            raise ValueError(
                f"{self.layer.name}: model.net builds it with {self.key} {str(self.own)[:100]}, "
                f"the checkpoint has {str(its)[:100]}; build it with those"
            )

    def assign(self, value: Any) -> None:
        """Takes it over, where the layer was built with none: it would be adapted."""
        if self.own is None:
            setattr(self.layer, self.key, value[()])


def places(model: keras.Model, naming: str) -> dict[str, Any]:
    """Returns what holds each tensor that a checkpoint of the model has, by the kind's names. What
    such a checkpoint cannot hold has a name, too, which none will have. Raises ValueError."""
    if naming == "own":
        return _own(model)
    if naming.removesuffix(ASSETS) in ("keras_saved", "keras_2_saved"):
        return _saved(model, naming)
    if naming == "keras_layer_names":
        variables = _by_layers(model)
    elif naming in ("keras_objects", "keras_2_objects"):
        variables = _by_objects(model, naming == "keras_2_objects")
    else:
        raise ValueError(f"found the names {naming!r}, expected those of Keras' checkpoints")
    return {**variables, **_unnamed(model, variables), **_vocabularies(model, {})}


def _own(model: keras.Model) -> dict[str, Any]:
    """Returns all that a training of this pipeline saves of the net, the states of generators
    too."""
    variables = {name.removeprefix("net/"): v for name, v in _keras_state.named(model).items()}
    learnt = {
        name: Words(layer)
        if hasattr(layer, "set_vocabulary")
        else Setting(layer, BOUNDARIES, layer.bin_boundaries or None)
        for name, layer in _keras_state.learning(model).items()
    }
    return variables | learnt


def _variables(model: keras.Model) -> list[Any]:
    """Returns all but generators' states, which no file of Keras holds."""
    return [v for v in _keras_state.named(model).values() if not v.path.endswith(SEED)]


def _unnamed(model: keras.Model, found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns by their own path the variables that a kind of checkpoint does not reach."""
    known = {id(variable) for variable in found.values()}
    return {v.path: v for v in _variables(model) if id(v) not in known}


class _Recorder(saving_lib.H5IOStore):  # type: ignore[misc]
    """What Keras' own saver takes for a file, and tells which variable it would write where."""

    def __init__(self) -> None:
        self.written: dict[str, Any] = {}
        self.layers: list[tuple[str, str]] = []
        self.path = ""

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Mapping[str, Any] | None = None) -> "_Recorder":
        self.path = f"{path}/" if path else ""
        self.layers.append(((metadata or {}).get("name", ""), path))
        return self

    def __setitem__(self, key: str, value: Any) -> None:
        self.written[f"{self.path}vars/{key}"] = value


def _saved(model: keras.Model, naming: str) -> dict[str, Any]:
    """Returns the places that Keras' own saver writes to."""
    recorder, visited = _Recorder(), {id(getattr(model, "optimizer", None))}
    if naming.startswith("keras_2"):
        _save_as_keras_2(model, recorder, "", visited)
    else:
        saving_lib._save_state(model, recorder, None, "", visited)
    own = {id(variable) for variable in _keras_state.named(model).values()}
    paths = public(list(recorder.written))
    written = {paths[name]: v for name, v in recorder.written.items() if id(v) in own}
    layers = dict(recorder.layers) if naming.endswith(ASSETS) else {}
    settings = _settings(model) if naming.endswith(ASSETS) else {}
    return {**written, **_unnamed(model, written), **_vocabularies(model, layers), **settings}


def _settings(model: keras.Model) -> dict[str, Setting]:
    """Returns what the configuration in an archive would say of layers, none of a model that says
    nothing of its layers there."""
    layers = {each.name: each for each in _keras_state.layers(model)}
    if not any(type(each).__name__ in KEYS for each in layers.values()):
        return {}
    try:
        settings = list(values(keras.saving.serialize_keras_object(model)))
    except NotImplementedError:  # a subclass without get_config
        return {}
    return {
        name: Setting(layers[layer], key, own)
        for name, layer, key, own in settings
        if layer in layers and (own is not None or key == BOUNDARIES)
    }


def _save_as_keras_2(each: Any, recorder: _Recorder, path: str, visited: set[int]) -> None:
    """Goes through what an object holds from z to a, as Keras 2 did, and not into a list in a
    list."""
    if id(each) in visited:
        return
    visited.add(id(each))
    if hasattr(each, "save_own_variables"):
        each.save_own_variables(recorder.make(path, {"name": getattr(each, "name", "")}))
    for name, held in sorted(saving_lib._walk_saveable(each), key=itemgetter(0), reverse=True):
        inner = f"{path}/{name}" if path else name
        if isinstance(held, KerasSaveable):
            _save_as_keras_2(held, recorder, inner, visited)
        elif isinstance(held, list | tuple | dict):
            counts: dict[str, int] = {}
            for part in held.values() if isinstance(held, dict) else held:
                if isinstance(part, KerasSaveable):
                    kind = saving_lib.naming.to_snake_case(type(part).__name__)
                    part_name = saving_lib._get_unique_name(kind, counts)
                    _save_as_keras_2(part, recorder, f"{inner}/{part_name}", visited)


def _vocabularies(model: keras.Model, paths: Mapping[str, str]) -> dict[str, Any]:
    """Returns the vocabularies that the model was not built with, which only an archive has."""
    result = {}
    for layer in _keras_state.layers(model):
        inner = getattr(layer, "_lookup_layer", layer)
        if hasattr(layer, "set_vocabulary") and getattr(inner, "input_vocabulary", None) is None:
            path = paths.get(layer.name)
            name = f"{layer.name}/{VOCABULARY}" if path is None else f"{path}/{VOCABULARY}"
            result[f"assets/{name}"] = Words(layer)
    return result


def _by_layers(model: keras.Model) -> dict[str, Any]:
    own = {id(variable) for variable in _variables(model)}
    listed = [(layer.name, v) for layer in model.layers for v in layer.weights if id(v) in own]
    below = {id(variable) for _, variable in listed}
    listed += [(TOP, v) for v in model.weights if id(v) in own and id(v) not in below]
    names = named([(layer, variable.path) for layer, variable in listed])
    return {name: variable for name, (_, variable) in zip(names, listed, strict=True)}


def _by_objects(model: keras.Model, lists: bool) -> dict[str, Any]:
    variables = {id(variable): variable for variable in _variables(model)}
    objects: dict[int, Any] = {id(model): model}

    def children(node: int) -> dict[str, int]:
        reached = _children(objects[node], lists)
        objects.update({id(child): child for child in reached.values()})
        return {name: id(child) for name, child in reached.items()}

    paths = {node: "/".join(path) for node, path in shortest(id(model), children).items()}
    result = {paths[node]: variable for node, variable in variables.items() if node in paths}
    for place, variable in enumerate(model.trainable_variables):
        if id(variable) not in paths:
            result[f"{TRAINABLE}{place}"] = variable
    return result


def _children(each: Any, lists: bool) -> dict[str, Any]:
    """Returns what an object holds, as TensorFlow's checkpoints name it; the layers of a functional
    model are counted, those without weights left out. Keras 2 went into lists and dicts."""
    if isinstance(each, keras.Variable):
        return {}
    if isinstance(each, dict):
        return {str(key): value for key, value in each.items()}
    if isinstance(each, list | tuple):
        return {str(place): value for place, value in enumerate(each)}
    held = dict(each._trackable_children()) if hasattr(each, "_trackable_children") else {}
    held = {name: child for name, child in held.items() if is_of_net(name)}
    own = {k.lstrip("_"): v for k, v in held.items() if isinstance(v, keras.Variable)}
    if isinstance(each, keras.Model) and getattr(each, "inputs", None):
        weighty = [layer for layer in each.layers if layer.weights]
        return own | {f"{LAYER}{place}": layer for place, layer in enumerate(weighty)}
    if lists and isinstance(each, keras.Layer):
        attributes = {name: v for name, v in vars(each).items() if not name.startswith("_")}
        held |= {k: v for k, v in attributes.items() if isinstance(v, list | tuple | dict)}
    return own | {k: v for k, v in held.items() if not isinstance(v, keras.Variable)}
