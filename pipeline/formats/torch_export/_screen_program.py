"""A program has the fields that program_fields.json names, and no others; every string in it is
inert where torch will use it.

The file follows torch._export.serde.schema: message by message what each field holds, one of it, a
[list] or a {mapping by name}. `nothing` stands where torch would make an object or take a name
apart, and no export of ours has anything.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._json import parse
from ._operators import is_operator
from ._screen_expressions import is_guard, is_shape, is_symbol

FIELDS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("program_fields.json").read_text()
)
PLAIN = re.compile(r"[\w.]*")
STATE = re.compile(r"[\w.\-+/:, ]*")
"""Names of modules and weights, which people choose: torch writes a part that is no identifier into
code as `getattr(of, "part")`, where none of these characters ends the string."""
TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
DEVICES = {"cpu", "cuda", "mps", "xpu", "meta"}
INFINITE = {"Infinity", "-Infinity", "NaN"}
LARGEST_SIZE, LARGEST_INTEGER = 1 << 62, 1 << 64


def check_program(value: Any, where: str) -> None:
    """Raises ValueError for a field that is not known, or a value that could run."""
    _check(value, "ExportedProgram", where)


def check_tensor(value: Any, where: str) -> None:
    """Raises ValueError, as `check_program` does, for what describes a tensor."""
    _check(value, "TensorMeta", where)


def check_state_name(name: str, where: str) -> None:
    """Raises ValueError for a weight's name that is none."""
    _check(name, "state", where)


def _check(value: Any, kind: str, where: str) -> None:
    """Walks without recursion, however deep a graph lies in others."""
    waiting = [(value, kind, kind)]
    while waiting:
        value, kind, key = waiting.pop()
        if value is None:
            continue
        if kind in FIELDS:
            fields = FIELDS[kind]
            for name, each in _mapping(value, key, where).items():
                if name not in fields:
                    raise ValueError(
                        f"{where}: field {name[:200]!r} of {kind}, which is not known here, could "
                        f"run code, expected {', '.join(fields)} alone; do not load it"
                    )
                waiting.append((each, fields[name], name))
        elif kind[0] == "[":
            if not isinstance(value, list):
                raise _refusal(value, key, where)
            waiting += [(each, kind[1:-1], key) for each in value]
        elif kind[0] == "{":
            named = _is_range if kind == "{RangeConstraint}" else _is_word
            for name, each in _mapping(value, key, where).items():
                if not named(name):
                    raise _refusal(name, f"name in {key}", where)
                waiting.append((each, kind[1:-1], key))
        elif not CHECKS[kind](value):
            raise _refusal(value, key, where)


def _mapping(value: Any, key: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refusal(value, key, where)
    return value


def _refusal(value: Any, key: str, where: str) -> ValueError:
    return ValueError(
        f"{where}: {key} {str(value)[:200]!r} could run code or is no value of its kind, expected "
        "torch's own operators, plain names and numbers; do not load it"
    )


def _is_word(value: Any) -> bool:
    """Returns whether it stays one name where torch writes it into code."""
    return isinstance(value, str) and PLAIN.fullmatch(value) is not None and not _is_hidden(value)


def _is_state(value: Any) -> bool:
    return isinstance(value, str) and STATE.fullmatch(value) is not None and not _is_hidden(value)


def _is_hidden(text: str) -> bool:
    """Returns whether, taken apart, it reaches for what Python keeps about an object."""
    return any(part.startswith("__") for part in text.split("."))


def _is_name(value: Any) -> bool:
    """Returns whether it may become a name in code."""
    return isinstance(value, str) and (value == "" or value.isidentifier())


def _is_range(value: str) -> bool:
    """Returns whether it is a symbol with bounds; torch counts up to its number."""
    return is_symbol(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < LARGEST_INTEGER


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST_SIZE


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value in INFINITE)


def _is_tree(value: Any) -> bool:
    """Returns whether it is nested out of TREES alone: other kinds import what they name."""
    try:
        tree = parse(value.encode(), "") if value else [1, None]
        plain = isinstance(tree, list) and len(tree) == 2 and tree[0] == 1
        return plain and (tree[1] is None or _is_plain_node(tree[1]))
    except ValueError:
        return False


def _is_plain_node(node: Any) -> bool:
    text = node["context"] or "null"
    context = parse(text.encode(), "")  # an object could name an enum
    labels = context if isinstance(context, list) else [context]
    plain = set(node) == {"type", "context", "children_spec"} and node["type"] in TREES
    plain &= all(each is None or isinstance(each, str | int) for each in labels)
    return plain and all(map(_is_plain_node, node["children_spec"]))


CHECKS: dict[str, Callable[[Any], bool]] = {
    "operator": lambda value: isinstance(value, str) and is_operator(value),
    "shape": lambda value: isinstance(value, str) and is_shape(value),
    "guard": lambda value: isinstance(value, str) and is_guard(value),
    "tree": _is_tree,
    "name": _is_name,
    "word": _is_word,
    "state": _is_state,
    "text": lambda value: isinstance(value, str),  # reaches operators as a value only
    "device": lambda value: isinstance(value, str) and value in DEVICES,
    "integer": _is_integer,
    "size": _is_size,
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "nothing": lambda value: value in ({}, [], ""),
}
