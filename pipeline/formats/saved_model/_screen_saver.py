"""The saver: the two functions of a graph that write and read its variables' file.

Loaders that are not Python's restore through it. Its operators reach files, so they stand in its
two functions alone, their paths are what checkpoint.txt says, made of nothing but the path that
whoever calls it hands in, and nothing else in the graph leads there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._lists import by_first_word
from ._screen_messages import HERE

PATHS = by_first_word(HERE / "checkpoint.txt")
"""By operator, what the input that is a path may be, as `_Paths.said` writes it."""
SAVING, RESTORING = frozenset(PATHS) - {"RestoreV2"}, frozenset({"RestoreV2"})
CALLS = ("StatefulPartitionedCall", "PartitionedCall")
TEXT = 7  # tensorflow.DataType
DEEPEST, WIDEST, LONGEST = 8, 3, 500
"""How many operators a path may come through, of how many inputs, and how long that is written."""
AT = {"MergeV2Checkpoints": (0, 1)}
"""The inputs that are paths; of all other operators the first."""


class Saver:
    """What the graph says of its saver; raises ValueError where something else leads to it."""

    def __init__(self, graph: Any, folder: Path):
        self._folder = folder
        said = graph.saver_def
        names = [_node_of(said.save_tensor_name), said.restore_op_name] if _has(graph) else []
        callers = [node for node in graph.graph_def.node if node.name in names]
        self._callers = sorted(callers, key=lambda node: names.index(node.name))
        self._order = [node.attr["f"].func.name for node in self._callers if "f" in node.attr]
        self.functions = frozenset(self._order)
        if not len(callers) == len(self.functions) == len(names):
            raise self._refusal("its saver is no function to save and another to restore")
        if names:
            self._check_callers(graph, said.filename_tensor_name, set(names))
        for function in graph.graph_def.library.function:
            if function.signature.name in self.functions:
                self._check_paths(function)

    def _refusal(self, what: str) -> ValueError:
        return ValueError(f"{self._folder}: {what}; do not load it")

    def may_hold(self, operator: str, function: str | None) -> bool:
        """Tells whether the operator is one of those that its function is there for."""
        if function is None or function not in self.functions:
            return False
        return operator in (SAVING if function == self._order[0] else RESTORING)

    def is_caller(self, node: Any, function: str | None) -> bool:
        return function is None and any(node.name == each.name for each in self._callers)

    def _check_callers(self, graph: Any, filename: str, names: set[str]) -> None:
        """Raises ValueError unless what saves and what restores take the one path, a placeholder,
        and nothing depends on them."""
        path = filename.split(":")[0]
        places = [node for node in graph.graph_def.node if node.name == path]
        if [node.op for node in places] != ["Placeholder"] or filename != f"{path}:0":
            raise self._refusal(f"its saver's path {filename!r} is no placeholder")
        for node in self._callers:
            if node.op not in CALLS or list(node.input[:1]) not in ([path], [filename]):
                raise self._refusal(f"its saver {node.name} is not called with its path alone")
        for node in graph.graph_def.node:
            inputs = {_node_of(each) for each in node.input}
            if inputs & names or (path in inputs and node.name not in names):
                raise self._refusal(f"{node.name} depends on its saver")
        for where, name in _named(graph):
            if name in names | self.functions | {path}:
                raise self._refusal(f"{where} leads to its saver, to {name}")

    def _check_paths(self, function: Any) -> None:
        """Holds each operator of files to its paths; none may come from elsewhere."""
        paths = _Paths(function)
        for node in function.node_def:
            for place in AT.get(node.op, (0,)) if node.op in PATHS else ():
                path = paths.said(node.input[place]) if place < len(node.input) else "nothing"
                if path not in PATHS[node.op]:
                    raise self._refusal(f"{node.op} of {node.name} has the path {path[:200]}")


class _Paths:
    """What a function's texts are made of: `path` is its first argument."""

    def __init__(self, function: Any):
        arguments = function.signature.input_arg
        self._first = arguments[0].name if arguments and arguments[0].type == TEXT else ""
        self._nodes = {node.name: node for node in function.node_def}
        if len(self._nodes) < len(function.node_def):
            self._nodes = {}  # what a name stands for would be TensorFlow's choice
        self._known: dict[str, str] = {}

    def said(self, name: str, deep: int = 0) -> str:
        """Returns how a value is made, `?` for what no path is made of."""
        if name == self._first and name:
            return "path"
        node = self._nodes.get(name.partition(":")[0])
        if node is None or deep > DEEPEST or len(node.input) > WIDEST:
            return "?"
        if node.name not in self._known:
            text = self._const(node) if node.op == "Const" else self._made(node, deep)
            self._known[node.name] = text if len(text) <= LONGEST else "?"
        return self._known[node.name]

    def _const(self, node: Any) -> str:
        texts = node.attr["value"].tensor.string_val
        return repr(texts[0].decode("latin1")) if len(texts) == 1 else "?"

    def _made(self, node: Any, deep: int) -> str:
        texts = [
            f"[{node.attr[key].s.decode('latin1')}]"
            for key in sorted(node.attr)
            if node.attr[key].WhichOneof("value") == "s"
        ]
        most = 1 if node.op == "ShardedFilename" else WIDEST  # then numbers of parts
        inputs = [each for each in node.input[:most] if not each.startswith("^")]
        said = ",".join(self.said(each, deep + 1) for each in inputs)
        return f"{node.op}{''.join(texts)}({said})"


def _has(graph: Any) -> bool:
    return bool(graph.saver_def.save_tensor_name or graph.saver_def.restore_op_name)


def _node_of(name: str) -> str:
    return str(name).removeprefix("^").partition(":")[0]


def _named(graph: Any) -> Iterator[tuple[str, str]]:
    """Yields what names nodes and functions outside of the graph's own nodes."""
    for key, signature in graph.signature_def.items():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield f"signature {key}", _node_of(tensor.name)
    for key, collection in graph.collection_def.items():
        for value in collection.node_list.value:
            yield f"collection {key}", _node_of(value)
    objects = graph.object_graph_def
    for name in objects.concrete_functions:
        yield "an object", name
    for item in objects.nodes:
        for name in item.function.concrete_functions:
            yield "an object", name
        yield "an object", item.bare_concrete_function.concrete_function_name
        yield "an object", item.captured_tensor.concrete_function
        yield "an object", _node_of(item.constant.operation)
