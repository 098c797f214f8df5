"""What a `_target_` may name: a class of the kind asked for, or a function of models/ making one.

Hydra calls whatever is named, `os.system` and `numpy.load` too, and importing a module runs it. So
the package is looked at before it is imported, and what was found in it before it is called.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from pipeline.errors import ParamsError

MODELS = "models"

ELSEWHERE = "write a function in models/ that returns it, and name that"


@dataclass(frozen=True, kw_only=True)
class Kind:
    packages: tuple[str, ...]
    """Besides models/; a dotted name allows that module and what lies below."""
    bases: tuple[type, ...]
    """A class is of one of them; without any, functions of `packages` are wanted."""
    parts: tuple[type, ...] = ()
    """Of classes that may stand in its arguments."""

    def __str__(self) -> str:
        of = " or ".join(f"{base.__module__}.{base.__qualname__}" for base in self.bases)
        what = f"a class of {of}" if self.bases else f"a function of {self.packages[0]}"
        return f"{what}, or a function of models/"


def check(config: Any, key: str, kind: Kind) -> None:
    """Raises ParamsError naming `key`; nothing was called then, and of nothing but an allowed
    package a module imported."""
    for place, found in _targets(config, key):
        inner = Kind(packages=kind.packages, bases=kind.parts or kind.bases)
        _demand(found, f"{place}._target_", kind if place == key else inner)


def _targets(config: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every `_target_`, its arguments' included. Raises ParamsError for an interpolation: Hydra
    would follow it, into the environment too."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield place, config["_target_"]
        for name, value in config.items():
            yield from _targets(value, f"{place}.{name}")
    elif isinstance(config, list | tuple):
        for index, value in enumerate(config):
            yield from _targets(value, f"{place}[{index}]")
    elif isinstance(config, str) and "${" in config:
        raise ParamsError(f"{place}: found {config!r}, expected a plain value")


def _demand(target: Any, key: str, kind: Kind) -> None:
    allowed = (MODELS, *kind.packages)
    if not (isinstance(target, str) and _within(target, allowed)):
        raise ParamsError(
            f"{key}: found {target!r}, expected something of {', '.join(allowed)}; {ELSEWHERE}"
        )
    found = _find(target, key)
    if not _fits(found, kind):
        raise ParamsError(f"{key}: found {target}, expected {kind}")


def _fits(found: Any, kind: Kind) -> bool:
    """By where it was written, not by the path on which it was found: models.x.os.system."""
    written = str(getattr(found, "__module__", ""))
    if inspect.isclass(found):
        return issubclass(found, kind.bases) and _within(written, (MODELS, *kind.packages))
    functions = (MODELS,) if kind.bases else (MODELS, *kind.packages)
    return isinstance(inspect.unwrap(found), FunctionType) and _within(written, functions)


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") or name == package for package in packages)


def _find(target: str, key: str) -> Any:
    """The longest part of the path that is a module, and the attributes behind it."""
    names = target.split(".")
    if not all(name.isidentifier() and not name.startswith("__") for name in names):
        raise ParamsError(f"{key}: found {target!r}, expected a dotted name")
    for cut in range(len(names) - 1, 0, -1):
        module = ".".join(names[:cut])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as fault:
            if fault.name and _within(module, (fault.name,)):
                continue
            raise ParamsError(f"{key}: {target}: {fault}") from None
        for name in names[cut:]:
            if not hasattr(found, name):
                raise ParamsError(f"{key}: found {target}, but {module} has no {name}")
            found = getattr(found, name)
        return found
    raise ParamsError(f"{key}: found {target}, but there is no module {names[0]}")
