"""Every string in a program has to be inert where torch will use it."""

import json
import re
from typing import Any

from .._json import parse
from ._operators import is_operator
from ._screen_expressions import is_guard, is_shape

PLAIN = re.compile(r"[\w.]*")
STATE_KEYS = ("parameter_name", "buffer_name", "tensor_constant_name", "fqn")
STATE = re.compile(r"[\w.\-+/:, ]*")
"""Names of modules and weights, which people choose: torch writes a part that is no identifier into
code as `getattr(of, "part")`, where none of these characters ends the string."""
TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
LARGEST_SIZE = 1 << 62


def check_program(value: Any, where: str, key: str = "") -> None:
    """Walks a program's JSON; raises ValueError for a string that could run, or no size."""
    if isinstance(value, dict):
        if "strides" in value:
            _check_sizes(value, where)
        for name, each in value.items():
            check_text(name, "", where)
            check_program(each, where, name)
    elif isinstance(value, list):
        for each in value:
            check_program(each, where, key)
    elif isinstance(value, str):
        check_text(value, key, where)


def check_text(text: str, key: str, where: str) -> None:
    """Raises ValueError unless the text is inert as the value of `key`, which is "" for a name
    itself."""
    if not _is_inert(text, key, where):
        raise ValueError(
            f"{where}: {key or 'name'} {text[:200]!r} could run code, expected torch's own "
            "operators and plain names; do not load it"
        )


def _is_inert(text: str, key: str, where: str) -> bool:
    if key in ("as_string", "as_strings", "torch_version"):
        return True  # reach operators as values only
    if key in ("target", "as_operator"):
        return is_operator(text)
    if key == "expr_str":
        return is_shape(text)
    if key == "guards_code":
        return is_guard(text)
    if key in ("in_spec", "out_spec"):
        return text == "" or _is_plain_tree(parse(text.encode(), where))
    if key in ("name", "as_name"):  # become names in code
        return text == "" or text.isidentifier()
    parts = text.split(".")  # become attributes, one of the other
    hidden = len(parts) > 1 and any(part.startswith("__") for part in parts)
    allowed = STATE if key in STATE_KEYS else PLAIN
    return allowed.fullmatch(text) is not None and not hidden


def _check_sizes(tensor: dict[str, Any], where: str) -> None:
    """Raises ValueError unless each is a number and not negative, or an expression."""
    for each in [*tensor["sizes"], *tensor["strides"], tensor["storage_offset"]]:
        size = each.get("as_int", 0)
        if type(size) is not int or not 0 <= size < LARGEST_SIZE:
            raise ValueError(f"{where}: found a tensor with a size of {size}; do not load it")


def _is_plain_tree(tree: Any) -> bool:
    """Whether it is nested out of TREES alone: other kinds import what they name."""
    return isinstance(tree, list) and len(tree) == 2 and tree[0] == 1 and _is_plain_node(tree[1])


def _is_plain_node(node: Any) -> bool:
    context = json.loads(node["context"] or "null")  # an object in it could name an enum
    labels = context if isinstance(context, list) else [context]
    plain = set(node) == {"type", "context", "children_spec"} and node["type"] in TREES
    plain &= all(each is None or isinstance(each, str | int) for each in labels)
    return plain and all(map(_is_plain_node, node["children_spec"]))
