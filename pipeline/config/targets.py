"""A `_target_` names a class of the kind asked for, or a function of the user's that makes one.

Hydra calls whatever is named, `os.system` and `numpy.load` too, and importing a module runs it. So
the package is checked before it is imported, and what it holds before it is called.
"""

import importlib
import inspect
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

from pipeline.errors import ParamsError
from pipeline.project import untracked

MODELS, DATA = "models", "data"
"""The folders of the user's own code: of models, and of functions that yield rows."""

IMPORT_FAULTS = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, ImportError, LookupError),
    *(NameError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What a module of the user's raises while it is imported, a memory error apart."""

WAY_OUT = {
    MODELS: "write a function in models/ that returns it, and name that",
    DATA: "write a function in data/<name>.py that yields rows, and name that",
}
LIBRARIES = ", or list its library in model.libraries"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind says which classes and functions a `_target_` may name."""

    packages: tuple[str, ...]
    """Packages besides the user's; a dotted name allows that module and what lies below."""
    bases: tuple[type, ...]
    """Base classes, one of which a class must have; with none, only functions of `packages` fit."""
    parts: tuple[type, ...] = ()
    """Base classes of those that may stand in its arguments."""
    libraries: tuple[str, ...] = ()
    """Packages whose functions fit, too, and in the arguments all of their classes."""
    inner: bool = False
    """Whether it is of what stands in another's arguments."""
    own: str = MODELS
    """The folder of the user's code whose functions fit."""

    def __str__(self) -> str:
        of = " or ".join(f"{base.__module__}.{base.__qualname__}" for base in self.bases)
        packages = [f"a function of {package}" for package in self.packages[:1]]
        what = [f"a class of {of}"] if self.bases else packages
        of_libraries = [f"a function of {library}" for library in self.libraries]
        return ", or ".join([*what, *of_libraries, f"a function of {self.own}/"])


def check(config: Any, key: str, kind: Kind) -> None:
    """Raises ParamsError naming `key` for what is not of the kind.

    Nothing has been called then, and no module imported but of an allowed package.
    """
    inner = replace(kind, bases=kind.parts or kind.bases, parts=(), inner=True)
    for place, target in _targets(config, key):
        _demand_kind(target, f"{place}._target_", kind if place == key else inner)


def _targets(config: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yields each `_target_` with its key, its arguments' included.

    Raises ParamsError for an interpolation: Hydra would follow it, into the environment too.
    """
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


def _demand_kind(target: Any, key: str, kind: Kind) -> None:
    allowed = (kind.own, *kind.packages, *kind.libraries)
    if not (isinstance(target, str) and _within(target, allowed)):
        expected = f"something of {', '.join(allowed)}"
        way_out = WAY_OUT[kind.own] + (LIBRARIES if kind.own == MODELS and kind.bases else "")
        raise ParamsError(f"{key}: found {target!r}, expected {expected}; {way_out}")
    if not _fits(_import(target, key), kind):
        raise ParamsError(f"{key}: found {target}, expected {kind}")


def _fits(named: Any, kind: Kind) -> bool:
    """Goes by where it was written, not by the path that names it: models.x.os.system."""
    written = str(getattr(named, "__module__", ""))
    if _within(written, kind.libraries):
        made = inspect.unwrap(named)
        made = getattr(made, "__func__", made)  # of a class method
        if isinstance(made, FunctionType) or (inspect.isclass(named) and kind.inner):
            return True
    if inspect.isclass(named):
        kind = replace(kind, packages=(*kind.packages, *kind.libraries))
        return issubclass(named, kind.bases) and _within(written, (kind.own, *kind.packages))
    functions = (kind.own,) if kind.bases else (kind.own, *kind.packages)
    return isinstance(inspect.unwrap(named), FunctionType) and _within(written, functions)


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") or name == package for package in packages)


def _import(target: str, key: str) -> Any:
    """Imports the longest part of the path that is a module, and follows its attributes."""
    names = target.split(".")
    if not all(name.isidentifier() and not name.startswith("__") for name in names):
        raise ParamsError(f"{key}: found {target!r}, expected a dotted name")
    for cut in range(len(names) - 1, 0, -1):
        module = ".".join(names[:cut])
        try:
            value: Any = importlib.import_module(module)
        except ModuleNotFoundError as fault:
            if fault.name and _within(module, (fault.name,)):
                continue
            raise ParamsError(f"{key}: {_import_fault(fault, module)}") from None
        except IMPORT_FAULTS as fault:
            raise ParamsError(f"{key}: {_import_fault(fault, module)}") from None
        for index, name in enumerate(names[cut:], cut):
            if not hasattr(value, name):
                file = Path(*names[: index + 1]).with_suffix(".py")
                raise ParamsError(
                    f"{key}: found {target}, but {'.'.join(names[:index])} has no {name}"
                    f"{untracked(file)}"
                )
            value = getattr(value, name)
        return value
    raise ParamsError(f"{key}: found {target}, but there is no module {names[0]}")


def _import_fault(fault: BaseException, module: str) -> str:
    """Returns where a module of the user's failed to be imported, and why, in one line."""
    if isinstance(fault, SyntaxError) and fault.filename:
        place, what = f"{_relative(fault.filename)}:{fault.lineno}", fault.msg
    else:
        frames = traceback.extract_tb(fault.__traceback__)
        own = [each for each in frames if _is_own(each.filename)]
        place = f"{_relative(own[-1].filename)}:{own[-1].lineno}" if own else module
        what = str(fault)
    return f"{place}: {type(fault).__name__}: {' '.join(what.split())}; correct the file"


def _is_own(file: str) -> bool:
    theirs = {MODELS, DATA} & set(Path(file).parts)
    return bool(theirs) and "importlib" not in file and "site-packages" not in file


def _relative(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
