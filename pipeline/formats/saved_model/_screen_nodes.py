"""Which operators a graph may hold, and which attributes its nodes and functions.

operators.txt names those of TensorFlow 2.21 that touch neither files nor Python, attributes.txt the
attributes and the kinds of their values. Whatever a function is named by may call it: so each
function of the library is held to the lists, whether something seems to reach it or not.
"""

import math
import re
from pathlib import Path
from typing import Any

from .._lists import by_first_word, listed
from ._screen_messages import FIELDS, HERE, VALUES
from ._screen_saver import TEXT, Saver

OPERATORS = listed(HERE / "operators.txt")
NO_LIST = "list:"  # nothing tells of which kind it is


def _attributes() -> dict[str, dict[str, set[str]]]:
    """Returns the kinds of each attribute, by whose it is: a node's, a function's, an argument's.

    A node has what operators declare, too.
    """
    attributes: dict[str, dict[str, set[str]]] = {"node": {}, "function": {}, "argument": {}}
    for whose, lines in by_first_word(HERE / "attributes.txt").items():
        for name, kind in (line.split() for line in lines):
            kinds = attributes["node" if whose == "operator" else whose].setdefault(name, set())
            kinds |= {kind, NO_LIST} if kind.startswith("list:") else {kind}
    return attributes


ATTRIBUTES = _attributes()
LARGEST_CONSTANTS, ITEMSIZE = 1 << 28, 8  # in bytes
COMPILED = (
    " (its own export: leave jit_compile out; Keras compiles a convolution with groups, to be "
    "written as DepthwiseConv2D or a convolution a group)"
)
"""Is said of a function that asks for a compiler, which no file may."""
GRADIENT = re.compile(r"(CustomGradient|PartitionedCall)-\d+", re.ASCII)
"""How TensorFlow names gradients that a file brings along; all others are those of operators."""


def check_nodes(graph: Any, saver: Saver, folder: Path) -> None:
    """Raises ValueError for an operator or attribute that is not known, wherever it stands."""
    library = graph.graph_def.library
    reader = _Reader(library, saver, folder)
    for node in graph.graph_def.node:
        reader.check(node, None)
    for function in library.function:
        for node in function.node_def:
            reader.check(node, function.signature.name)
        reader.check_attributes("function", function.attr, function.signature.name)
        for argument in function.arg_attr.values():
            reader.check_attributes("argument", argument.attr, function.signature.name)


class _Reader:
    def __init__(self, library: Any, saver: Saver, folder: Path):
        self._saver, self._folder, self._constants = saver, folder, 0
        names = [function.signature.name for function in library.function]
        self._functions = frozenset(names)
        self._others = self._functions - saver.functions
        for name in names:
            if not re.search(r"_\d+\Z", name):  # as no operator's name ends
                raise self._refusal(f"function {name} could pass for an operator")
        if len(self._functions) < len(names):
            raise self._refusal("holds two functions of one name")
        for gradient in library.registered_gradients:
            known = GRADIENT.fullmatch(gradient.registered_op_type)
            if not known or gradient.gradient_func not in self._others:
                raise self._refusal(
                    f"gives {gradient.registered_op_type!r} the gradient {gradient.gradient_func!r}"
                )

    def _refusal(self, what: str) -> ValueError:
        return ValueError(f"{self._folder}: {what}; do not load it")

    def check(self, node: Any, function: str | None) -> None:
        known = node.op in OPERATORS or node.op in self._others
        if not known and not self._saver.may_hold(node.op, function):
            raise self._refusal(
                f"operator {node.op} of {node.name} is not known to leave files and Python "
                "alone (its own export: write that layer with other functions)"
            )
        allowed = self._saver.functions if self._saver.is_caller(node, function) else frozenset()
        self.check_attributes("node", node.attr, node.name, allowed)

    def check_attributes(
        self, scope: str, attributes: Any, owner: str, saving: frozenset[str] = frozenset()
    ) -> None:
        kinds = ATTRIBUTES[scope]
        for name in attributes:  # .items() takes a third longer
            value = attributes[name]
            kind = value.WhichOneof("value") or "none"
            if kind == "list":
                kind = "list:" + "+".join([field.name for field, _ in value.list.ListFields()])
            if name not in kinds or kind not in kinds[name]:
                way_out = COMPILED if name == "_XlaMustCompile" else ""
                raise self._refusal(
                    f"{scope} {owner} has the attribute {name} of kind {kind}{way_out}"
                )
            if kind == "tensor":
                self._check_constant(value.tensor, owner)
            elif kind == "s":
                self._check_text(name, value.s, owner)
            elif kind == "func":
                self._check_function(value.func, owner, saving)
            elif kind == "list:func":
                for each in value.list.func:
                    self._check_function(each, owner, saving)

    def _check_function(self, named: Any, owner: str, saving: frozenset[str]) -> None:
        known = named.name in self._others or named.name in saving
        if not known or named.attr:
            raise self._refusal(f"{owner} calls {named.name!r}, which is no function for it")

    def _check_text(self, name: str, text: bytes, owner: str) -> None:
        """Refuses a text that names what TensorFlow would look up."""
        readable = text.decode(errors="replace")
        listed_values = VALUES.get(f"attribute:{name}")
        unknown = listed_values is not None and readable not in listed_values
        other = name == "_gradient_op_type" and not GRADIENT.fullmatch(readable)
        if unknown or other or readable in self._saver.functions:
            raise self._refusal(f"{owner} has the attribute {name} {readable[:200]!r}")

    def _check_constant(self, tensor: Any, owner: str) -> None:
        """Limits what constants unpack to: one value may stand for all of a shape. Of kinds, only
        those whose values are numbers and texts."""
        for field, _ in tensor.ListFields():
            if field.full_name not in FIELDS:
                raise self._refusal(f"the constant {owner} has {field.full_name}")
        if str(tensor.dtype) not in VALUES["tensorflow.TensorProto.dtype"]:
            raise self._refusal(f"the constant {owner} is of kind {tensor.dtype}")
        if tensor.dtype == TEXT and tensor.tensor_content:  # which TensorFlow reads in their place
            raise self._refusal(f"the constant {owner} has its texts twice")
        sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
        count = math.prod(sizes)
        self._constants += max(0, count - tensor.ByteSize()) * ITEMSIZE if count > 1 else 0
        if min(sizes, default=0) < 0 or self._constants > LARGEST_CONSTANTS:
            raise self._refusal(f"the constant {owner} has the shape {sizes}, which is not stored")
