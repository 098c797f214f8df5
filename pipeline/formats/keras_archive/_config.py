"""The architecture: Keras makes an object of every entry in it that names a class."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._archive import CONFIG, read_member

LARGEST = 1 << 31  # of a number, which may be a size
KERAS = re.compile(
    r"keras(\.src)?(\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics"
    r"|models|ops|optimizers|quantizers|random|regularizers)(\.\w+)*)?"
)
"""Modules that classes of a model come from."""
FUNCTIONS = {"", "builtins"} | {
    f"keras.{each}"
    for each in ("activations", "initializers", "losses", "metrics", "ops", "regularizers")
}
"""Modules that functions of a model come from."""
NAMED = re.compile(r"([\w.-]+>)?[A-Za-z_]\w*")  # behind the package that it is registered under
REACHING = re.compile(r"(de)?serialize|get|(load|save)_\w+|custom_gradient|\w*map|\w*scan|\w+_loop")
"""Functions in those modules that load, or call what they are given."""
CONSTANTS = {f"__{kind}__" for kind in ("keras_tensor", "tensor", "numpy", "tuple", "bytes")}
CONSTANTS |= {"__ellipsis__", "__slice__", "__complex__"}
CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
"""Classes that run what they hold."""


def configs(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every entry that Keras would make an object of."""
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            yield value
        for inner in value.values():
            yield from configs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from configs(inner)


def check_config(path: Path) -> None:
    """Raises ValueError for what could run, read a file or fill the memory.

    That holds even where the process allows Keras unsafe modes: nothing here asks for them.
    """
    content = read_member(path, CONFIG)
    _check_numbers(content, path)
    for entry in configs(content):
        kind, module, name = entry["class_name"], str(entry.get("module") or ""), _name(entry)
        known = _is_function(module, name) if kind == "function" else _is_class(module, kind)
        if not known:
            raise ValueError(
                f"{path}: {module}.{kind} {name!r} is Python code or no part of a model, expected "
                "layers and functions by name; write a layer class in place of Lambda"
            )
        _check_vocabulary(entry.get("config"), path)


def _name(entry: dict[str, Any]) -> Any:
    inner = entry.get("config")
    if entry["class_name"] == "function":
        return inner
    return inner.get("name", "") if isinstance(inner, dict) else ""


def _is_function(module: str, name: Any) -> bool:
    named = NAMED.fullmatch(str(name)) and not REACHING.fullmatch(str(name))
    return module in FUNCTIONS and bool(named)


def _is_class(module: str, kind: str) -> bool:
    """Tells whether it is a class of Keras' for models, a constant, or of somebody's own module."""
    if kind in CONSTANTS:
        return not _strays(module)
    code = kind in CODE or kind.startswith("__")
    function = bool(KERAS.fullmatch(module)) and kind[:1].islower()
    return not (code or module == "builtins" or _strays(module) or function)


def _strays(module: str) -> bool:
    """Tells whether a module is one of Keras' that is for no part of a model."""
    return module.split(".")[0] == "keras" and not KERAS.fullmatch(module)


def _check_numbers(value: Any, path: Path, key: str = "") -> None:
    """Refuses a size that memory cannot hold, by one number alone."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(inner, path, name)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, path, key)
    elif isinstance(value, int) and abs(value) > LARGEST and "seed" not in key:
        raise ValueError(f"{path}: {key} is {value} in {CONFIG}, expected at most {LARGEST}")


def _check_vocabulary(inner: Any, path: Path) -> None:
    if isinstance(inner, dict) and isinstance(inner.get("vocabulary"), str):
        raise ValueError(
            f"{path}: {inner.get('name')!r} reads its vocabulary from {inner['vocabulary']!r}, "
            "expected the words themselves; give vocabularies as lists"
        )
