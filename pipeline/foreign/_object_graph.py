"""A TensorFlow checkpoint's own description: objects, and which one holds which.

It is a protobuf of TensorFlow's (trackable_object_graph.proto), read here field by field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.formats._protobuf import Message
from pipeline.frameworks._object_paths import LAYER, TRAINABLE, is_of_net, shortest

COUNTER = "save_counter"
"""What tf.train.Checkpoint counts in; Keras 2 saved a model by itself, with an edge to itself."""
COUNTS = ("iter", "_iterations", "iterations")
"""What only an optimizer holds."""
KINDS = {
    "m": "momentum",
    "v": "velocity",
    "vhat": "velocity_hat",
    "momentum": "momentum",
    "rms": "velocity",
    "mg": "average_gradient",
    "accumulator": "accumulator",
    "accum_grad": "accumulated_grad",
    "accum_var": "accumulated_delta_var",
}
"""What Keras 2 calls what an optimizer keeps of a weight -> what Keras 3 does."""


@dataclass
class Node:
    """An object."""

    children: dict[str, int] = field(default_factory=dict)
    key: str | None = None
    """Of the variable that it is, in the index."""
    tables: list[str] = field(default_factory=list)
    """Keys of what else the index holds of it: the words of a lookup table."""
    slots: list[tuple[int, str, int]] = field(default_factory=list)
    """A variable, what Keras 2's optimizers keep of it, and the variable that this is."""


@dataclass(frozen=True)
class Graph:
    """Objects by number, the first of which is what was saved."""

    nodes: list[Node]

    def root(self) -> tuple[int, str]:
        """Returns the object that the net is, and what it is called: the only one in what was saved
        that holds variables and is no optimizer, or what was saved itself."""
        held = {
            name: child
            for name, child in self.nodes[0].children.items()
            if is_of_net(name) and not self.is_optimizer(child)
        }
        inner = {name: child for name, child in held.items() if self.nodes[child].key is None}
        weighty = {name: child for name, child in inner.items() if self._reached(child)}
        children = self.nodes[0].children
        own = any(name.startswith(LAYER) or name == "_operations" for name in held)
        alone = COUNTER in children or len(inner) == len(held)
        if len(weighty) == 1 and alone and not own and children.get("root") != 0:
            name, child = next(iter(weighty.items()))
            return child, name
        return 0, ""

    def key(self, node: int) -> str:
        """Returns the key of a variable. Raises ValueError for another object."""
        key = self.nodes[node].key
        if key is None:
            raise ValueError("an object that is no variable stands where one is expected")
        return key

    def is_optimizer(self, node: int) -> bool:
        """Returns whether the object counts steps."""
        return bool(set(COUNTS) & set(self.nodes[node].children))

    def optimizers(self) -> list[int]:
        """Returns the optimizers that hold a variable."""
        reached = shortest(0, lambda node: self.nodes[node].children)
        return [node for node in sorted(reached) if self.is_optimizer(node)]

    def _reached(self, node: int) -> set[int]:
        """Returns the variables of the net that an object holds."""
        return {each for each in shortest(node, self._edges) if self.nodes[each].key is not None}

    def _edges(self, node: int) -> dict[str, int]:
        return {
            name: child
            for name, child in self.nodes[node].children.items()
            if is_of_net(name) and not self.is_optimizer(child)
        }

    def _named_edges(self, node: int) -> dict[str, int]:
        """Returns what an object holds by the names that the framework gives to the same."""
        edges = self._edges(node)
        own = {k.lstrip("_"): v for k, v in edges.items() if self.nodes[v].key is not None}
        if any(name.startswith(LAYER) for name in edges):
            return own | {k: v for k, v in edges.items() if k.startswith(LAYER)}
        listed = self._layers(node)
        if listed is not None:
            weighty = [each for each in listed if self._reached(each)]
            return own | {f"{LAYER}{place}": each for place, each in enumerate(weighty)}
        return own | {k: v for k, v in edges.items() if self.nodes[v].key is None}

    def _layers(self, node: int) -> list[int] | None:
        """Returns the layers of a functional model of Keras 3; None for another object."""
        children = self.nodes[node].children
        if "_functional" in children:
            return self._layers(children["_functional"])
        if "_operations" not in children:
            return None
        listed = self.nodes[children["_operations"]].children
        return [listed[name] for name in sorted(listed, key=lambda n: (len(n), n))]

    def names(self, root: int, optimizer: int | None) -> dict[int, str]:
        """Returns the names of the net's variables, by the objects that they are."""
        paths = shortest(root, self._named_edges)
        named = {n: "/".join(path) for n, path in paths.items() if self.nodes[n].key is not None}
        others = shortest(root, self._edges)
        unnamed = {n: "/".join(path) for n, path in others.items() if self.nodes[n].key is not None}
        named = unnamed | named
        if optimizer is None:
            return named
        trained = self.nodes[optimizer].children.get("_trainable_variables")
        for place, node in self.nodes[trained].children.items() if trained is not None else ():
            if node not in named and self.nodes[node].key is not None:
                named[node] = f"{TRAINABLE}{place}"
        return named


def parse(content: bytes) -> Graph:
    """Returns the graph. Raises ValueError or LookupError for what is none."""
    nodes = [_node(message) for message in Message(content).all(1)]
    numbers = [n for node in nodes for n in node.children.values()]
    numbers += [n for node in nodes for first, _, last in node.slots for n in (first, last)]
    if not nodes or not all(0 <= number < len(nodes) for number in numbers):
        raise ValueError("its list of objects names some that are not there")
    return Graph(nodes)


def _node(message: Message) -> Node:
    node = Node()
    for number, value in message.fields():
        if number == 1:
            node.children[value.text(2)] = value.integer(1)
        elif number == 2 and value.text(1) == "VARIABLE_VALUE":
            node.key = value.text(3)
        elif number == 2:
            node.tables.append(value.text(3))
        elif number == 3:
            node.slots.append((value.integer(1), value.text(2), value.integer(3)))
    return node


def optimizer_state(graph: Graph, optimizer: int, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an optimizer's variables as the framework takes them: in order where the version
    lists them so, else by what they are of which weight."""
    node = graph.nodes[optimizer]

    def tensor(number: int) -> Any:
        return tensors[graph.key(number)]

    held = [node.children[k] for k in ("_learning_rate", "learning_rate") if k in node.children]
    rates = [each for each in held if graph.nodes[each].key]
    rate = tensor(rates[0]) if rates else None
    state: dict[str, Any] = {"kind": None, "settings": {}, "learning_rate": rate}
    count = tensor(next(node.children[name] for name in COUNTS if name in node.children))
    if node.slots:
        names = graph.names(graph.root()[0], None)
        named = {(KINDS.get(k, k), names.get(v, "")): tensor(s) for v, k, s in node.slots}
        return {**state, "variables": [count], "named": named}
    whole = node.children.get("_variables")
    listed = {} if whole is None else graph.nodes[whole].children
    order = sorted((name for name in listed if name.isdecimal()), key=int)
    values = [tensor(listed[name]) for name in order]
    lists = {name.strip("_") for name in node.children if name not in TOLD}
    return {**state, "variables": values or [count], "lists": lists}


TOLD = (
    *("_variables", "_trainable_variables", "_trainable_variables_indices", "_index_dict"),
    *("_iterations", "_learning_rate", "iterations", "learning_rate"),
)
