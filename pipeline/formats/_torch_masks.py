"""A net that masks only where a mask has anything in it masks always, which is the same.

`if mask.any(): x = x.masked_fill(mask, 0)` goes by values, as no program can. So the question is
answered with "some are", and where the program of the other answer differs by nothing but what
masks by that very mask, and would leave all as it is, both compute the same, gradients as well.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._torch_errors import asking_line
from ._torch_finite import ASKED, INVERTED, READ

if TYPE_CHECKING:
    from torch.export import ExportedProgram

MARK = "asked: "
"""Begins the text of an assertion that stands for a question while a net is traced."""
MASKS = "masks"
"""Of a program's graph, by the line that asks: what each mask is, and whether all of it is true
there."""


def asked_for_masks(lines: dict[str, str], other_way_at: str = "") -> Any:
    """Returns a context in which whoever asks whether a mask has any hears that it has some, and
    not all; at the line `other_way_at` the other. `lines` gets each line that asks."""
    import torch
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    means: dict[int, tuple[Tensor, bool]] = {}  # by id; what it is where the mask has some

    class Asking(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = getattr(func, "__name__", "")
            if name in READ and id(args[0]) in means and (line := asking_line()):
                lines[line] = ASKED
                torch._assert_async(args[0], MARK + line)
                return means[id(args[0])][1] != (line == other_way_at)
            result = func(*args, **(kwargs or {}))
            if name in ("any", "all") and len(args) == 1 and not kwargs:
                means[id(result)] = result, name == "any"
            elif name in INVERTED and id(args[0]) in means:
                means[id(result)] = result, not means[id(args[0])][1]
            return result

    return Asking()


def note_masks(program: "ExportedProgram") -> None:
    """Takes the questions out of the program; its graph knows afterwards which masks they were."""
    import torch

    graph, keys = program.graph_module.graph, Keys(program)
    noted: dict[str, dict[Any, bool]] = {}
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_async.msg and node.args[1].startswith(MARK):
            question, line = node.args[0], node.args[1].removeprefix(MARK)
            while getattr(question.target, "_opname", "") in INVERTED:
                question = question.args[0]
            is_all = question.target is torch.ops.aten.all.default
            noted.setdefault(line, {})[keys.of(question.args[0])] = is_all
            graph.erase_node(node)
    program.graph_module.meta[MASKS] = noted


class Keys:
    """What is the same of two nodes of a program that compute the same."""

    def __init__(self, program: "ExportedProgram") -> None:
        self.known: dict[Any, Any] = {}
        self.changed = set(_changed(program))

    def of(self, node: Any) -> Any:
        if node not in self.known:
            self.known[node] = self._made(node)
        return self.known[node]

    def _made(self, node: Any) -> Any:
        import torch

        target, tags = node.target, getattr(node.target, "tags", ())
        schema = getattr(target, "_schema", None)
        own = node.op != "call_function" or schema is None or schema.is_mutable
        if own or torch.Tag.nondeterministic_seeded in tags:
            return (node.name,)
        if not self.changed.isdisjoint(node.all_input_nodes):
            return (node.name,)
        args = [*node.args, *sorted(node.kwargs.items())]
        keys = tuple(self.of(each) if hasattr(each, "users") else str(each) for each in args)
        inverts = getattr(target, "_opname", "") in INVERTED and _is_boolean(node)
        return ("not", *keys) if inverts else (str(target), *keys)


class Moot:
    """What masks nothing in a program, where the masks that a line asks for leave all as it is."""

    def __init__(self, program: "ExportedProgram", line: str) -> None:
        self.keys = Keys(program)
        self.weights = set(program.graph_signature.inputs_to_parameters)
        self.known: dict[Any, bool] = program.graph_module.meta.get(MASKS, {}).get(line, {})

    def stands_for(self, node: Any) -> Any:
        """Returns the node whose values a node has, if it masks nothing; else null."""
        import torch

        aten = torch.ops.aten
        masked = {aten.masked_fill, aten.masked_fill_, aten.index_put, aten.index_put_}
        packet = getattr(node.target, "overloadpacket", None)
        if not self.known or packet not in masked | {aten.where} or len(node.args) != 3:
            return None
        if node in self.keys.changed and not node.target._schema.is_mutable:
            return None  # what is done to it in place is not done to what it stands for
        if packet is aten.where:
            chosen = self._value(node.args[0])
            kept, left = node.args[1:] if chosen else node.args[:0:-1]
        else:
            masks = node.args[1] if packet in (aten.index_put, aten.index_put_) else node.args[1:2]
            chosen = self._value(masks[0]) if len(masks) == 1 else None
            chosen = None if chosen else chosen  # all of it is masked
            kept, left = node.args[0], node.args[2]
        alike = chosen is not None and _alike(kept, node)
        return kept if alike and not self._learns(left) else None

    def _value(self, mask: Any) -> bool | None:
        """Returns what a mask is throughout; null where that is not known."""
        if not hasattr(mask, "users"):
            return None
        key, inverted = self.keys.of(mask), False
        while key not in self.known and key[:1] == ("not",):
            key, inverted = key[1], not inverted
        return self.known[key] != inverted if key in self.known else None

    def _learns(self, value: Any) -> bool:
        """Returns whether a value hangs on a weight, which would have a gradient of zeros."""
        waiting, seen = [value], set()
        while waiting:
            node = waiting.pop()
            if hasattr(node, "users") and node not in seen:
                seen.add(node)
                waiting.extend(node.all_input_nodes)
        return any(node.name in self.weights for node in seen)


def _changed(program: "ExportedProgram") -> Iterator[Any]:
    """Yields what is changed in place, and what it may be a part of."""
    for node in program.graph_module.graph.nodes:
        if getattr(getattr(node.target, "_schema", None), "is_mutable", False):
            part: Any = node.args[0] if node.args else None
            while hasattr(part, "users"):
                yield part
                part = part.args[0] if part.args else None


def _alike(one: Any, other: Any) -> bool:
    """Returns whether an argument is a tensor of the answer's shape and dtype."""
    if not hasattr(one, "meta"):
        return False
    mine, others = one.meta["val"], other.meta["val"]
    return mine.dtype == others.dtype and [*map(str, mine.shape)] == [*map(str, others.shape)]


def _is_boolean(node: Any) -> bool:
    return str(node.meta["val"].dtype) == "torch.bool"
