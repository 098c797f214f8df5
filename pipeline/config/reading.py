"""Plain mappings become dataclasses strictly: each key known, each value of its type and range."""

import difflib
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.config import earlier
from pipeline.config.bounds import Plugin, Range
from pipeline.errors import ParamsError

T = TypeVar("T")
Leaves = dict[str, Any]
"""Values by dotted path; lists and empty mappings are leaves."""


class Component(dict[str, Any]):
    """A component is a mapping: its `_target_`, a class's dotted name, and its arguments."""


def read(kind: type[T], values: Mapping[str, Any]) -> T:
    """Returns `kind` from the sections that it has as fields; others are left alone."""
    values = earlier.params(values)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    result: T = convert({name: values[name] for name in names if name in values}, kind, "")
    return result


def convert(value: Any, kind: Any, key: str) -> Any:
    """Returns `value` as a `kind`.

    Raises ParamsError, which names `key`, what was found and what is allowed.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _in_bounds(convert(value, arguments[0], key), arguments[1], key)
    if origin in (Union, types.UnionType):
        return _union(value, arguments, key)
    if origin is Literal:
        return value if value in arguments else _refuse(key, value, f"one of {_listed(arguments)}")
    if is_dataclass(kind):
        return _dataclass(value, kind, key)
    if kind is Component:
        return _component(value, key)
    if origin is tuple:
        return _items(value, arguments[0], key)
    if origin is Mapping:
        return _mapping(value, arguments[0], arguments[1], key)
    return _scalar(value, kind, key)


def _in_bounds(value: Any, bounds: Range | Plugin, key: str) -> Any:
    expected = bounds.fault(value)
    return value if expected is None else _refuse(key, value, expected)


def _union(value: Any, kinds: tuple[Any, ...], key: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    fitting = (kind for kind in kinds if _is_form_of(value, kind))
    return convert(value, next(fitting, kinds[0]), key)


def _is_form_of(value: Any, kind: Any) -> bool:
    """Returns whether the kind is the one of a union that this value is meant as."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(value, list | tuple):
        return get_origin(kind) is tuple
    if isinstance(value, Mapping):
        if "_target_" in value:
            return kind is Component
        return get_origin(kind) is Mapping or is_dataclass(kind)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return type(value) in (int, float)
    return isinstance(kind, type) and type(value) is kind


def _dataclass(value: Any, kind: Any, key: str) -> Any:
    _demand(isinstance(value, Mapping), key, value, "a mapping")
    hints = get_type_hints(kind, include_extras=True)
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in hints:
            raise ParamsError(f"{prefix}{name}: no such key; {nearest(str(name), list(hints))}")
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    for name in hints:
        if name in needed and name not in value:
            raise ParamsError(f"{prefix}{name}: missing; run `dvc repro compose` or add it")
    given = {n: hint for n, hint in hints.items() if n in value}
    return kind(**{n: convert(value[n], hint, f"{prefix}{n}") for n, hint in given.items()})


def _mapping(value: Any, name_kind: Any, kind: Any, key: str) -> dict[str, Any]:
    """Returns the mapping with each value converted. Any text names an entry, unless names have
    bounds."""
    _demand(isinstance(value, Mapping), key, value, "a mapping")
    if name_kind is not str:
        for name in value:
            convert(str(name), name_kind, key)
    return {str(name): convert(v, kind, f"{key}.{name}") for name, v in value.items()}


def _component(value: Any, key: str) -> Component:
    target = value.get("_target_") if isinstance(value, Mapping) else None
    dotted = isinstance(target, str) and "." in target
    _demand(dotted, key, value, "a mapping whose _target_ is a class's dotted name")
    return Component(value)


def _items(value: Any, kind: Any, key: str) -> tuple[Any, ...]:
    _demand(isinstance(value, list | tuple), key, value, "a list")
    return tuple(convert(item, kind, f"{key}[{index}]") for index, item in enumerate(value))


def _scalar(value: Any, kind: Any, key: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float:
        _demand(number and math.isfinite(value), key, value, "a finite number")
        return float(value)
    if kind is int:
        _demand(number and isinstance(value, int), key, value, "an integer")
    if kind is str:
        quote = "" if isinstance(value, str) else "; quote it if it is one"
        _demand(bool(value) and not quote, key, value, f"a text that is not empty{quote}")
    if kind is bool:
        _demand(isinstance(value, bool), key, value, "true or false")
    return value


def _demand(holds: bool, key: str, value: Any, expected: str) -> None:
    if not holds:
        _refuse(key, value, expected)


def _refuse(key: str, value: Any, expected: str) -> Any:
    raise ParamsError(f"{key}: found {value!r}, expected {expected}")


def nearest(name: str, known: list[str]) -> str:
    """Lists what is allowed, led by the closest to what was typed."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}allowed: {_listed(known)}"


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def flatten(values: Any, prefix: str = "") -> Leaves:
    """Returns the leaves by dotted path."""
    if not isinstance(values, Mapping) or not values:
        return {prefix: values}
    leaves: Leaves = {}
    for key, value in values.items():
        leaves |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves
