"""Loads the format with Keras, and the modules of classes that are not Keras' own."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import as_argument, decoded, in_order
from .._arrays import tensorflow_refusals as refusals
from ..contract import Arrays, Place
from ._archive import FILE, METADATA, custom_objects, read_member
from ._check import check_archive
from ._weights import places

if TYPE_CHECKING:
    import keras

__all__ = ["load", "load_model", "refusals", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Imports the modules of `needs`; ModuleNotFoundError where they are not to be had."""
    import tensorflow as tf

    model = load_model(directory)
    signature = read_member(directory / FILE, METADATA)["signature"]

    def predict(inputs: Arrays) -> Arrays:
        tensors = {name: tf.constant(inputs[name]) for name in signature["inputs"]}
        values = in_order(model(as_argument(tensors), training=False), signature["outputs"])
        answers = [decoded(np.asarray(value)) for value in values]
        return dict(zip(signature["outputs"], answers, strict=True))

    return predict


def load_model(directory: Path) -> "keras.Model":
    """Returns the model as it was saved: compiled, with the optimizer's state, for training on."""
    import keras

    path = directory / FILE
    check_archive(path)
    named = custom_objects(path).items()
    objects = {key: _import(module, name, path) for key, (module, name) in named}
    loaded: keras.Model = keras.saving.load_model(path, custom_objects=objects, safe_mode=True)
    return loaded


def weights(directory: Path) -> dict[str, Place]:
    """Returns where each weight lies, by its path in the HDF5 file; the optimizer's left out."""
    return places(directory / FILE)


def _import(module: str, name: str, path: Path) -> Any:
    """Returns a class of Keras' kinds or a function, as the module itself defines it.

    Raises ValueError for any other, for Python's own modules, and for one that lies beside the file
    that names it.
    """
    refused = module.partition(".")[0] in sys.stdlib_module_names or _lies_beside(module, path)
    part = None if refused else getattr(importlib.import_module(module), name)
    if isinstance(part, types.FunctionType):
        fits = part.__globals__.get("__name__") == module  # what it says itself can be changed
    else:
        fits = hasattr(part, "from_config") and getattr(part, "__module__", "") == module
    if not fits:
        raise ValueError(
            f"{path}: names {module}.{name}, which is no class for Keras and no function of that "
            "module; do not load it"
        )
    return part


def _lies_beside(module: str, path: Path) -> bool:
    """Tells whether importing it would take a file from the archive's own directory."""
    top = module.partition(".")[0]
    spec = None if top in sys.modules else importlib.util.find_spec(top)
    files = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    own = path.parent.resolve()
    return any(Path(file).resolve().is_relative_to(own) for file in files if file)
