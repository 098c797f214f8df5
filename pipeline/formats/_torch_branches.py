"""A branch of a net by a size that a program leaves open, by whether all values are finite, or a
mask has anything in it, is followed where both ways compute the same, as one that only lays a
tensor out anew.

torch fixes such a size, or bounds it by what the branch asks. So nothing is told to it, and the net
is traced once more for each line that branches, with the other way taken there: the programs must
be alike.
"""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._torch_errors import asking_frame, is_of_the_model, place

if TYPE_CHECKING:
    from torch.export import ExportedProgram

MOST_LINES = 8
"""Each costs a trace."""


@contextmanager
def open_branches(other_way_at: str = "") -> Iterator[dict[str, str]]:
    """Has the model's own lines branch by a size as the examples have it, without a word to torch,
    and as if some values were not finite, and masks had some. Gives these lines, with what each
    asks. At one line the other way can be taken."""
    import torch
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    from ._torch_finite import asked_for_finite
    from ._torch_masks import asked_for_masks

    opposite: Any = torch.sym_not
    decide: Any = torch.SymBool.__bool__
    lines: dict[str, str] = {}

    def look(self: Any) -> bool:
        frame, node = asking_frame(), self.node
        assert frame is not None
        file = frame.f_code.co_filename
        if not is_of_the_model(file) or node.constant is not None or not node.has_hint():
            return bool(decide(self))
        if statically_known_true(self) or statically_known_true(opposite(self)):
            return bool(decide(self))
        line = place(Path(file), frame.f_lineno)
        lines[line] = str(node.expr)
        return bool(node.hint) != (line == other_way_at)

    torch.SymBool.__bool__ = look  # type: ignore[method-assign]
    try:
        with asked_for_masks(lines, other_way_at), asked_for_finite(lines, other_way_at):
            yield lines
    finally:
        torch.SymBool.__bool__ = decide  # type: ignore[method-assign]


def differing_line(
    program: "ExportedProgram", lines: dict[str, str], again: Callable[[], "ExportedProgram"]
) -> str:
    """Returns the first line whose other way computes another program, or none; "" where all are
    alike."""
    from ._torch_errors import FAULTS

    if len(lines) > MOST_LINES:
        return next(iter(lines))
    for line in lines:
        try:
            with open_branches(line):
                other = again()
        except FAULTS:
            return line
        if _computed(other, line) != _computed(program, line):
            return line
    return ""


def _computed(program: "ExportedProgram", line: str) -> list[str]:
    """Returns what a program computes, without names, layouts of memory alone, limits that no
    finite value is beyond, and what masks nothing on the other way of the line."""
    from torch.fx import GraphModule, Node
    from torch.fx.node import map_arg

    from ._torch_finite import limits_nothing
    from ._torch_masks import Moot

    moot = Moot(program, line)
    constants = program.graph_signature.inputs_to_lifted_tensor_constants

    def same(node: Node) -> Any:
        return node.args[0] if _is_layout(node) or limits_nothing(node) else moot.stands_for(node)

    lines: list[Any] = []
    for path, module in program.graph_module.named_modules():
        if not isinstance(module, GraphModule):
            continue
        numbers: dict[Node, int] = {}
        needed = _needed(module.graph, same, constants)
        for node in module.graph.nodes:
            if node not in needed:
                continue
            if (other := same(node)) is not None:
                numbers[node] = numbers[other]
                continue
            numbers[node] = len(set(numbers.values()))
            args = map_arg((node.args, node.kwargs), numbers.__getitem__)
            lines.append((path, node.op, _name(node), args))
    return [str(line) for line in lines]


def _needed(graph: Any, same: Callable[[Any], Any], constants: Container[str]) -> set[Any]:
    """Returns the nodes without what is computed and not used, as a question that was answered, or
    a constant of these names."""
    waiting = [
        node
        for node in graph.nodes
        if node.is_impure() and same(node) is None and node.name not in constants
    ]
    needed: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            other = same(node)
            waiting.extend(node.all_input_nodes if other is None else [other])
    return needed


def _name(node: Any) -> str:
    return "" if node.op in ("placeholder", "output") else str(node.target)


def _is_layout(node: Any) -> bool:
    """Returns whether a node gives its first argument's values, which nothing changes in place."""
    import torch

    return node.target is torch.ops.aten.contiguous.default and not any(
        getattr(getattr(user.target, "_schema", None), "is_mutable", False) for user in node.users
    )
