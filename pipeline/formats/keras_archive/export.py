"""Writes the format: what `Model.save` writes, packed anew.

The time of day and addresses of objects are left out, so that the same model gives the same bytes.
Nothing is compressed, so what it unpacks to is as large as the file.
"""

import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from ._archive import CONFIG, FILE, METADATA
from ._check import check_archive
from ._config import configs

if TYPE_CHECKING:
    import keras

DATE = (1980, 1, 1, 0, 0, 0)


def export(
    model: "keras.Model",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes architecture, weights, compile configuration and optimizer state; of averages, which
    no optimizer steps, architecture and weights alone.

    ValueError in one line when the model does not fit, or does not come back as it was.
    """
    path = directory / FILE
    signature = {"inputs": list(inputs), "outputs": outputs}
    try:
        with _without_idle_optimizer(model):
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                model.save(Path(scratch) / FILE)
                own = dict(_own_parts(model))
                _pack(Path(scratch) / FILE, path, signature, own)
            check_archive(path)
            _check_return(model, path, own)
    except (NotImplementedError, TypeError, AttributeError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise ValueError(f"keras_archive: this model does not fit: {_one_line(error)}") from error


@contextmanager
def _without_idle_optimizer(model: "keras.Model") -> Iterator[None]:
    """Leaves out meanwhile that the model is compiled, where its optimizer never took a step."""
    optimizer = getattr(model, "optimizer", None)
    if not model.compiled or optimizer is None or optimizer.built:
        yield
        return
    model.compiled, model.optimizer = False, None
    try:
        yield
    finally:
        model.compiled, model.optimizer = True, optimizer


def _one_line(error: BaseException) -> str:
    """Returns the cause, which Keras wraps in everything that it was about to make."""
    innermost = re.split(r"(?:Exception|Error) encountered[\w ]{0,80}+: ", str(error))[-1]
    return " ".join(innermost.split("Full object config")[0].split())[:400]


def _pack(saved: Path, path: Path, signature: dict[str, Any], own: dict[str, Any]) -> None:
    """Writes members in order of name, stored, at a fixed date; JSON without time and addresses."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        config = json.loads(old.read(CONFIG))
        metadata = {
            "keras_version": json.loads(old.read(METADATA))["keras_version"],
            "signature": signature,
            "custom_objects": dict(_imports(config, own)),
        }
        rewritten = {METADATA: metadata, CONFIG: _renumbered(config, {})}
        for name in sorted(each for each in old.namelist() if not each.endswith("/")):
            content = json.dumps(rewritten[name]).encode() if name in rewritten else old.read(name)
            new.writestr(zipfile.ZipInfo(name, DATE), content)


def _renumbered(value: Any, numbers: dict[int, int]) -> Any:
    """Returns it with objects numbered as they are met: `shared_object_id` is an address."""
    if isinstance(value, list):
        return [_renumbered(inner, numbers) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key: numbers.setdefault(inner, len(numbers))
        if key == "shared_object_id"
        else _renumbered(inner, numbers)
        for key, inner in value.items()
    }


def _own_parts(model: "keras.Model") -> Iterator[tuple[str, Any]]:
    """Yields classes and functions of somebody's own, of which the model is made, by Keras' names
    for them."""
    import keras

    compiled = getattr(model, "_compile_config", None) if model.compiled else None
    parts = [*model._flatten_layers(), *_leaves(getattr(compiled, "config", {}))]
    for part in [each for whole in parts for each in (whole, *_attributes(whole))]:
        kind = part if hasattr(part, "__name__") else type(part)
        if kind.__module__.split(".")[0] not in ("keras", "builtins", "tensorflow"):
            yield keras.saving.get_registered_name(kind), kind


def _attributes(part: Any) -> list[Any]:
    """Returns functions in a layer or loss, and objects that know how to describe themselves."""
    values = getattr(part, "__dict__", {}).values()
    return [value for value in values if callable(value) or hasattr(value, "get_config")]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif value is not None:
        yield value


def _imports(config: Any, own: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yields what the configuration names and is not Keras': its name there -> (module, name).

    Keras does not write the module of a function, nor that of a class in `__main__`.
    """
    for entry in configs(config):
        function = entry["class_name"] == "function"
        key = entry.get("config") if function else entry.get("registered_name")
        if key in own:
            kind = own[key]
            if kind.__module__ == "__main__" or "." in kind.__qualname__:
                raise ValueError(
                    f"{kind.__qualname__} of {kind.__module__} cannot be imported by its name, "
                    "expected it at the top of a module"
                )
            yield key, (kind.__module__, kind.__name__)


def _check_return(model: "keras.Model", path: Path, own: dict[str, Any]) -> None:
    """Loads it with the classes at hand: Keras writes what it cannot read back."""
    import keras

    returned = keras.saving.load_model(path, custom_objects=own, safe_mode=True)
    for variable, again in zip(state(model), state(returned), strict=True):
        if not np.array_equal(np.asarray(variable.value), np.asarray(again.value)):
            raise ValueError(f"the weight {variable.path} comes back with other values")


def state(model: "keras.Model") -> list[Any]:
    """Returns weights and, of a compiled model, the optimizer's variables."""
    return [*model.weights, *(model.optimizer.variables if model.compiled else [])]
