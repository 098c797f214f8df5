"""What a net returns, a tensor or a structure of them, becomes outputs by name."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any


def leaves(returned: Any, path: str = "") -> dict[str, Any]:
    """Returns the leaves of a tuple, list, mapping or dataclass, nested or not, by dotted path: an
    index, a key, a field. What is None is left out; a leaf by itself has the path ""."""
    if isinstance(returned, Mapping):
        members = list(returned.items())
    elif isinstance(returned, tuple) and hasattr(returned, "_fields"):
        members = list(zip(returned._fields, returned, strict=True))
    elif isinstance(returned, tuple | list):
        members = list(enumerate(returned))
    elif is_dataclass(returned) and not isinstance(returned, type):
        members = [(field.name, getattr(returned, field.name)) for field in fields(returned)]
    else:
        return {} if returned is None else {path: returned}
    result: dict[str, Any] = {}
    for name, value in members:
        result |= leaves(value, f"{path}.{name}" if path else str(name))
    return result


def pick(returned: Any, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Returns the outputs by name: the leaves at their paths or, where a net returns a tensor or a
    tuple, in their order. Without names each leaf is an output, by its path.

    Raises ValueError, one line, where they are not there.
    """
    if not outputs:
        return {path or "output": leaf for path, leaf in leaves(returned).items()}
    if len(outputs) == 1 and not _is_structure(returned):
        return {next(iter(outputs)): returned}
    by_path = leaves(returned)
    if all(path in by_path for path in outputs.values()):
        return {name: by_path[path] for name, path in outputs.items()}
    if _has_names(returned):
        raise ValueError(
            f"model.outputs: found {list(outputs.values())}, but the net returns "
            f"{', '.join(by_path) or 'nothing'}; name some of these"
        )
    values = list(by_path.values())
    if len(values) != len(outputs):
        raise ValueError(
            f"model.outputs: found {len(outputs)} names, but the net returns {len(values)} arrays; "
            "name each, or pick some as name: index"
        )
    return dict(zip(outputs, values, strict=True))


def is_in_order(returned: Any, outputs: Mapping[str, str]) -> bool:
    """Returns whether the net returns its outputs as they are named: a tensor, or a tuple of them
    alone."""
    if not _is_structure(returned):
        return len(outputs) == 1
    flat = isinstance(returned, tuple | list) and not any(map(_is_structure, returned))
    named = pick(returned, outputs).values()
    return flat and all(a is b for a, b in zip(returned, named, strict=False))


def named_paths(outputs: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Returns the path of each output, which is its name where nothing else is said."""
    return dict(outputs) if isinstance(outputs, Mapping) else {name: name for name in outputs}


def _is_structure(value: Any) -> bool:
    return isinstance(value, Mapping | tuple | list) or (
        is_dataclass(value) and not isinstance(value, type)
    )


def _has_names(returned: Any) -> bool:
    return _is_structure(returned) and not (
        isinstance(returned, tuple | list) and not hasattr(returned, "_fields")
    )
