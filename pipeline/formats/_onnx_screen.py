"""What an ONNX file may hold: operators of ONNX' own, and weights that are whole.

Protobuf's fields are read one by one; onnxruntime is not loaded. How much a graph computes, and
with how much memory, cannot be told from it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ._onnx_proto import (
    DTYPES,
    HALF_BYTES,
    Attribute,
    Function,
    Graph,
    Model,
    Node,
    OperatorSet,
    Tensor,
)
from ._protobuf import Message

LARGEST_FILE, MOST_NODES = 1 << 31, 1_000_000
LARGEST_SIZE = 1 << 62  # elements along one axis

CheckExternal = Callable[[str, list[Message], int], None]
"""Raises ValueError unless a tensor's name, external data and size in bytes may stand."""


def check_file(path: Path, domains: Set[str], check_external: CheckExternal) -> None:
    """Raises ValueError, without the file's name, unless each operator is of `domains` or made of
    such, and each constant lies, whole, in the file or where `check_external` lets it lie."""
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("larger than a protobuf message can be; do not load it")
    try:
        _check_model(Message(memoryview(path.read_bytes())), domains, check_external)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"no ONNX that can be read ({reason}); do not load it") from error


def _check_model(model: Message, domains: Set[str], check_external: CheckExternal) -> None:
    fields = model.numbers()
    if fields - Model.KNOWN or Model.METADATA in fields:
        raise ValueError(
            f"holds settings for a runtime, or fields {sorted(fields - Model.KNOWN)} that ONNX "
            "does not have; do not load it"
        )
    functions = list(model.all(Model.FUNCTION))
    own = {(each.text(Function.DOMAIN), each.text(Function.NAME)) for each in functions}
    for opset in model.all(Model.OPSET_IMPORT):
        domain = opset.text(OperatorSet.DOMAIN)
        if domain not in domains and domain not in {each for each, _ in own}:
            raise ValueError(f"asks for operators of {domain!r}, expected ONNX' own")
    graphs = list(model.all(Model.GRAPH))
    if len(graphs) != 1:
        raise ValueError(f"found {len(graphs)} graphs, expected one; do not load it")
    _Nodes(domains, own, check_external).check(graphs, functions)


@dataclass
class _Nodes:
    """The nodes of a model, which are counted while they are checked."""

    domains: Set[str]
    own: set[tuple[str, str]]
    check_external: CheckExternal
    checked: int = 0

    def check(self, graphs: list[Message], functions: list[Message]) -> None:
        """Checks graphs within graphs without recursion, however deep they lie."""
        for function in functions:
            graphs += self._check_nodes(function.all(Function.NODE))
        while graphs:
            graph = graphs.pop()
            for tensor in graph.all(Graph.INITIALIZER):
                self._check_tensor(tensor)
            if Graph.SPARSE_INITIALIZER in graph.numbers():
                raise ValueError("holds sparse weights; do not load it")
            graphs += self._check_nodes(graph.all(Graph.NODE))

    def _check_nodes(self, nodes: Iterator[Message]) -> Iterator[Message]:
        """Gives the graphs inside them."""
        for node in nodes:
            self.checked += 1
            if self.checked > MOST_NODES:
                raise ValueError(f"holds over {MOST_NODES} nodes; do not load it")
            domain, operator = node.text(Node.DOMAIN), node.text(Node.OPERATOR)
            if domain not in self.domains and (domain, operator) not in self.own:
                raise ValueError(
                    f"operator {operator} of {domain!r} is not ONNX' own; do not load it"
                )
            for attribute in node.all(Node.ATTRIBUTE):
                yield from self._check_attribute(attribute, operator)

    def _check_attribute(self, attribute: Message, operator: str) -> Iterator[Message]:
        """Gives the graphs in it."""
        count = Counter(number for number, _ in attribute.fields())
        doubled = count[Attribute.TENSOR] > 1 or count[Attribute.GRAPH] > 1
        if doubled or count[Attribute.SPARSE_TENSOR] or count[Attribute.SPARSE_TENSORS]:
            raise ValueError(f"{operator} holds sparse or double constants")
        for number, value in attribute.fields():
            if number in (Attribute.TENSOR, Attribute.TENSORS):
                self._check_tensor(value)
            elif number in (Attribute.GRAPH, Attribute.GRAPHS):
                yield value

    def _check_tensor(self, tensor: Message) -> None:
        """Raises ValueError unless it has as many elements as its shape says."""
        name, shape = tensor.text(Tensor.NAME), tensor.integers(Tensor.DIMS)
        kind, count = tensor.integer(Tensor.DATA_TYPE), math.prod(shape)
        raw = [len(each) for each in tensor.all(Tensor.RAW_DATA)]
        bits = 4 if kind in HALF_BYTES else 8 * np.dtype(DTYPES.get(kind, "uint8")).itemsize
        size = (count * bits + 7) // 8
        if any(not 0 <= each < LARGEST_SIZE for each in shape):
            raise ValueError(f"{name!r} has the shape {shape}; do not load it")
        external = list(tensor.all(Tensor.EXTERNAL_DATA))
        if external or tensor.integers(Tensor.LOCATION) not in ([], [0]):
            self.check_external(name, external, size)
        elif raw and (len(raw) > 1 or (raw[0] != size and kind in DTYPES)):
            raise ValueError(f"{name!r} of shape {shape} has {raw} bytes; do not load it")
        elif count > 2 * len(tensor):
            raise ValueError(f"{name!r} of shape {shape} is not stored; do not load it")
