"""What an ONNX file may hold: operators of ONNX' own by name, and weights that are whole.

Protobuf's fields are read one by one; onnxruntime is not loaded. Messages have the fields that
_onnx_fields.json names, each of its kind and, but for repeated ones (`*`), once: another reader may
take what is unknown, told twice or of another wire type otherwise. `type` stands for shapes and
types, which hold nothing but numbers and names. How much a graph computes, and with how much
memory, cannot be told from it.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from ._onnx_proto import (
    DTYPES,
    HALF_BYTES,
    KINDS,
    Attribute,
    Function,
    Model,
    Node,
    OperatorSet,
    Tensor,
)
from ._protobuf import Message, integers_in, text_in

LARGEST_FILE, MOST_NODES = 1 << 31, 1_000_000
LARGEST_SIZE = 1 << 62  # elements along one axis

OPERATORS = frozenset(Path(__file__).with_name("_onnx_operators.txt").read_text().splitlines())
"""Domain and name; `python -m scripts.onnx_operators` writes them."""
FUNCTION_DOMAINS = frozenset({"pkg.onnxscript.torch_lib", "pkg.onnxscript.torch_lib.common"})
"""Those that torch's exporter writes; no runtime has operators there, which a function would hide
or be hidden by."""
LOCALES = ("", "C", "en_US")
"""Of StringNormalizer; a runtime looks others up among the system's files."""

_WIRES = {"integer": {0}, "float": {5}, "double": {1}}  # all else has a length, of wire type 2
_FIELDS: dict[str, dict[int, str]] = {
    kind: {int(number): each for number, each in fields.items()}
    for kind, fields in json.loads(
        Path(__file__).with_name("_onnx_fields.json").read_text()
    ).items()
}

Values = dict[int, list[Message]]
"""The fields of a message by their numbers."""
Named = tuple[str, str]
"""Domain and name of a function."""
CheckExternal = Callable[[str, list[Message], int], None]
"""Raises ValueError unless a tensor's name, external data and size in bytes may stand."""


def _tags(fields: dict[int, str]) -> dict[int, tuple[int, str, bool]]:
    """Returns number, kind and whether it may come again, by each tag that a field may have."""
    tags: dict[int, tuple[int, str, bool]] = {}
    for number, written in fields.items():
        kind, repeated = written.rstrip("*"), written.endswith("*")
        wires = _WIRES.get(kind, {2}) | ({2} if repeated else set())  # packed
        tags |= {number << 3 | wire: (number, kind, repeated) for wire in wires}
    return tags


_TAGS = {kind: _tags(fields) for kind, fields in _FIELDS.items()}


def check_file(path: Path, domains: Set[str], check_external: CheckExternal) -> None:
    """Raises ValueError, without the file's name, unless each operator is of ONNX' own in `domains`
    or made of such, and each constant lies, whole, in the file or where `check_external` lets it
    lie."""
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("larger than a protobuf message can be; do not load it")
    try:
        model = Message(memoryview(path.read_bytes()))
        _Screen(domains, check_external).check(model)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"no ONNX that can be read ({reason}); do not load it") from error


@dataclass
class _Screen:
    """One walk through a model, whose nodes are counted on the way."""

    domains: Set[str]
    check_external: CheckExternal
    functions: set[Named] = field(default_factory=set)
    calls: dict[Named | None, Counter[Named]] = field(default_factory=dict)
    """How often the graph (None) or a function calls each function."""
    nodes: Counter[Named | None] = field(default_factory=Counter)
    checked: int = 0

    def check(self, model: Message) -> None:
        """Checks graphs within graphs without recursion, however deep they lie."""
        values = _values("Model", model)
        functions = [_values("Function", each) for each in values.pop(Model.FUNCTION, [])]
        self._declare(functions)
        self._check_sets(values.get(Model.OPSET_IMPORT, []))
        if len(values.get(Model.GRAPH, [])) != 1:
            raise ValueError("found no graph, expected one; do not load it")
        waiting = self._inner("Model", values, None)
        for each in functions:
            waiting += self._inner("Function", each, _named(each))
        while waiting:
            kind, message, owner = waiting.pop()
            values = _values(kind, message)
            self._check_one(kind, message, values, owner)
            waiting += self._inner(kind, values, owner)
        self._check_expanded()

    def _inner(self, kind: str, values: Values, owner: Named | None) -> list[Any]:
        """Returns the messages in one, with their kinds and the function that they are of."""
        fields = _FIELDS[kind]
        kinds = {number: fields[number].rstrip("*") for number in values}
        return [
            (kinds[number], each, owner)
            for number, messages in values.items()
            if kinds[number] in _FIELDS
            for each in messages
        ]

    def _check_one(self, kind: str, message: Message, values: Values, owner: Named | None) -> None:
        if kind == "Node":
            self._check_node(values, owner)
        elif kind == "Tensor":
            self._check_tensor(values, len(message))
        elif kind == "OperatorSet":
            self._check_domain(_domain(values.get(OperatorSet.DOMAIN, [])))

    def _declare(self, functions: list[Values]) -> None:
        for values in functions:
            domain, name = _named(values)
            if domain not in FUNCTION_DOMAINS:
                raise ValueError(
                    f"function {name[:100]!r} of {domain[:100]!r} could stand for an operator of a "
                    f"runtime's own, expected {' or '.join(sorted(FUNCTION_DOMAINS))}"
                )
            if (domain, name) in self.functions:
                raise ValueError(f"defines the function {name[:100]!r} twice; do not load it")
            self.functions.add((domain, name))

    def _check_sets(self, sets: list[Message]) -> None:
        sets_of = [_values("OperatorSet", each) for each in sets]
        names = [_domain(each.get(OperatorSet.DOMAIN, [])) for each in sets_of]
        if len(set(names)) < len(names):
            raise ValueError(f"asks for two versions of the operators of {names}; do not load it")

    def _check_domain(self, domain: str) -> None:
        if domain not in self.domains | FUNCTION_DOMAINS:
            raise ValueError(f"asks for operators of {domain[:100]!r}, expected ONNX' own")

    def _check_node(self, values: Values, owner: Named | None) -> None:
        self.nodes[owner] += 1
        self.checked += 1
        if self.checked > MOST_NODES:
            raise ValueError(f"holds over {MOST_NODES} nodes; do not load it")
        domain = _domain(values.get(Node.DOMAIN, []))
        operator = text_in(values.get(Node.OPERATOR, []))
        if (domain, operator) in self.functions:
            self.calls.setdefault(owner, Counter())[domain, operator] += 1
        elif domain not in self.domains or f"{domain} {operator}" not in OPERATORS:
            raise ValueError(
                f"operator {operator[:100]} of {domain[:100]!r} is not ONNX' own; do not load it"
            )
        if operator == "StringNormalizer":
            self._check_locale(values.get(Node.ATTRIBUTE, []))

    def _check_locale(self, attributes: list[Message]) -> None:
        for each in attributes:
            values = _values("Attribute", each)
            name = text_in(values.get(Attribute.NAME, []))
            locale = text_in(values.get(Attribute.TEXT, []))
            if name == "locale" and (locale not in LOCALES or Attribute.REFERENCE in values):
                raise ValueError(f"StringNormalizer asks for the locale {locale[:100]!r}")

    def _check_tensor(self, values: Values, stored: int) -> None:
        """Raises ValueError unless it has as many elements as its shape says."""
        name, shape = text_in(values.get(Tensor.NAME, [])), integers_in(values.get(Tensor.DIMS, []))
        kind = _integer(values.get(Tensor.DATA_TYPE, []))
        if kind not in KINDS:
            raise ValueError(f"{name!r} is of no type that is known here ({kind}); do not load it")
        if any(not 0 <= each < LARGEST_SIZE for each in shape):
            raise ValueError(f"{name!r} has the shape {shape[:10]}; do not load it")
        raw = [len(each) for each in values.get(Tensor.RAW_DATA, [])]
        count = math.prod(shape)
        bits = 4 if kind in HALF_BYTES else 8 * np.dtype(DTYPES.get(kind, "uint8")).itemsize
        size = (count * bits + 7) // 8
        external = values.get(Tensor.EXTERNAL_DATA, [])
        if external or _integer(values.get(Tensor.LOCATION, [])):
            self.check_external(name, external, size)
        elif raw and raw[0] != size and kind in DTYPES:
            raise ValueError(f"{name!r} of shape {shape[:10]} has {raw} bytes; do not load it")
        elif count > 2 * stored:
            raise ValueError(f"{name!r} of shape {shape[:10]} is not stored; do not load it")

    def _check_expanded(self) -> None:
        """Raises ValueError where functions call each other in a ring, or make more nodes than a
        graph may have: a runtime puts a function in place of each call."""
        total: dict[Named | None, int] = {}
        try:
            for each in TopologicalSorter({None: (), **self.calls}).static_order():
                called = self.calls.get(each, Counter())
                made = sum(count * total[callee] for callee, count in called.items())
                total[each] = min(self.nodes[each] + made, MOST_NODES + 1)
        except CycleError as error:
            raise ValueError("its functions call each other in a ring; do not load it") from error
        if total[None] > MOST_NODES:
            raise ValueError(f"makes over {MOST_NODES} nodes of its functions; do not load it")


def _values(kind: str, message: Message) -> Values:
    """Returns its fields; raises ValueError for one that is unknown, of another kind or there
    twice."""
    tags, values = _TAGS[kind], Values()
    for tag, value in message.tagged():
        if tag not in tags:
            raise ValueError(
                f"{kind} with field {tag >> 3} of wire type {tag & 7}, as settings for a runtime, "
                "sparse weights or what is not known here; do not load it"
            )
        number, _, repeated = tags[tag]
        if number not in values:
            values[number] = [value]
        elif repeated:
            values[number].append(value)
        else:
            raise ValueError(f"{kind} with field {number} twice; do not load it")
    return values


def _named(function: Values) -> Named:
    return _domain(function.get(Function.DOMAIN, [])), text_in(function.get(Function.NAME, []))


def _domain(values: list[Message]) -> str:
    """Returns ONNX' own as `ai.onnx`, which "" stands for as well."""
    return text_in(values) or "ai.onnx"


def _integer(values: list[Message]) -> int:
    return (integers_in(values) or [0])[-1]
