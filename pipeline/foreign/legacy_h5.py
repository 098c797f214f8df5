"""`.h5` as Keras 2 wrote it, and Keras 3 still does: a whole model, or its weights alone."""

from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.frameworks._layer_names import TOP, named
from pipeline.text import escaped

from . import _hdf5
from ._keras_config import Compiled, code_notes, compiled
from ._keras_weights import state
from ._lazy_array import LazyArray
from .contract import Foreign
from .keras_archive import parse
from .weights_h5 import layout

TITLE = "Keras model or weights (.h5)"
GIVES = "weights"
WEIGHTS, OPTIMIZER = "model_weights", "optimizer_weights"


def recognizes(path: Path) -> bool:
    """Returns whether it is HDF5 with layers' names."""
    return _hdf5.begins_hdf5(path) and layout(path) == "legacy"


def read(path: Path) -> Foreign:
    """Opens the file. Raises DataError, one line."""
    with _hdf5.one_line(path):
        root = _hdf5.opened(_hdf5.Window(path))
        arrays = _hdf5.arrays(root, path, path.stat().st_size)
        whole = WEIGHTS in root
        group = root[WEIGHTS] if whole else root
        config = _json(root, "model_config", path)
        said = compiled(_json(root, "training_config", path))
        placed = _weights(group, f"{WEIGHTS}/" if whole else "", arrays, path)
        optimizer, notes = _optimizer(root, arrays, said, path) if OPTIMIZER in root else (None, [])
        version = _hdf5.text(group, "keras_version") or _hdf5.text(root, "keras_version")
    return Foreign(
        framework="keras",
        weights=placed,
        naming="keras_layer_names",
        optimizer=optimizer,
        versions={"keras": version} if version else {},
        hyperparameters=said.hyperparameters,
        notes=(*said.notes, *code_notes(config), *notes),
    )


def _json(root: Any, name: str, path: Path) -> Any:
    content = _hdf5.text(root, name)
    return {} if content is None else parse(content.encode(), f"{path}: {name}")


def _weights(
    group: Any, prefix: str, arrays: dict[str, LazyArray], path: Path
) -> dict[str, LazyArray]:
    """Returns the weights by layer and name, layers counted from 0. Raises DataError for an array
    that no layer lists, or that is not there."""
    layers = [*_hdf5.texts(group, "layer_names"), *([TOP] if TOP in group else [])]
    listed = [
        (layer, name) for layer in layers for name in _hdf5.texts(group[layer], "weight_names")
    ]
    places = [f"{prefix}{layer}/{name}" for layer, name in listed]
    if lacking := sorted(set(places) - set(arrays)):
        raise DataError(f"{path}: {escaped(lacking[0][:200])} is missing, though it is listed")
    others = {name for name in arrays if not name.startswith(f"{OPTIMIZER}/")} - set(places)
    if others:
        raise DataError(
            f"{path}: {escaped(min(others)[:200])} is listed by no layer, expected Keras' layout"
        )
    names = named([(layer, name.removesuffix(":0")) for layer, name in listed])
    return {name: arrays[place] for name, place in zip(names, places, strict=True)}


def _optimizer(
    root: Any, arrays: dict[str, LazyArray], said: Compiled, path: Path
) -> tuple[dict[str, Any] | None, list[str]]:
    """Returns the optimizer's state, as far as its variables stand in Keras 3's order."""
    names = _hdf5.texts(root[OPTIMIZER], "weight_names")
    places = [f"{OPTIMIZER}/{name}" for name in names]
    if lacking := sorted(set(places) - set(arrays)):
        raise DataError(f"{path}: {escaped(lacking[0][:200])} is missing, though it is listed")
    values = [arrays[place] for place in places]
    if not values:
        return None, []
    slots = [name.removesuffix(":0").rpartition("/")[2] for name in names[1:]]
    if len(slots) > 1 and set(slots) <= {"m", "v", "vhat", "momentum", "rms", "mg", "accumulator"}:
        kinds = list(dict.fromkeys(slots))  # Keras 2's old optimizers have all m, then all v
        lists = [[v for v, s in zip(values[1:], slots, strict=True) if s == k] for k in kinds]
        if len({len(each) for each in lists}) > 1:
            return None, ["the optimizer's state is laid out in an unknown way and is left aside"]
        by_weight = [each for row in zip(*lists, strict=True) for each in row]
        return state([values[0], *by_weight], said.optimizer, said.settings), []
    return state(values, said.optimizer, said.settings), []
