"""A net that limits values to the largest number there is, where it meets one that is not finite,
limits them always: what is finite stays as it is, bit for bit.

Detectors do so in training: `if not torch.isfinite(x).all(): x = x.clamp(-largest, largest)`. No
program branches by values, so that the question is answered with "some are not", and the program
has to be that of the other answer but for the limits (`limits_nothing`).
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from ._torch_errors import is_of_the_model, place

if TYPE_CHECKING:
    from torch.export import ExportedProgram

ASKED = "whether all values are finite"
FINITE = {"isfinite"}
NOT_FINITE = {"isinf", "isnan"}
INVERTED = {"logical_not", "__invert__", "bitwise_not"}
UNITED = {"any", "all", "logical_or", "__or__", "bitwise_or"}
"""What asks of several values, or of two answers, without asking something else."""
QUESTIONS = FINITE | NOT_FINITE | INVERTED | UNITED


class AskedForFinite(TorchFunctionMode):
    """While it is entered, whoever asks whether values are finite hears that some are not; at the
    line `other_way_at` that all are. `lines` gets each line that asks."""

    def __init__(self, lines: dict[str, str], other_way_at: str = "") -> None:
        super().__init__()
        self._lines, self._other_way_at = lines, other_way_at
        self._means: dict[int, tuple[Tensor, bool]] = {}
        """By id, what was computed, and whether true means that all values are finite."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__bool__" and (answer := self._answer(args[0])) is not None:
            return answer
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            meaning = self._meaning(name, args)
            if meaning is not None:
                self._means[id(result)] = result, meaning
        return result

    def _meaning(self, name: str, args: Any) -> bool | None:
        if name in FINITE | NOT_FINITE:
            return name in FINITE
        known = [self._means.get(id(each), (None, None))[1] for each in args if _is_tensor(each)]
        if name not in QUESTIONS or not known or None in known or len({*known}) > 1:
            return None
        meaning = bool(known[0])
        if name in INVERTED:
            return not meaning
        return meaning if meaning == (name == "all") else None

    def _answer(self, asked: Tensor) -> bool | None:
        _, meaning = self._means.get(id(asked), (None, None))
        if meaning is None:
            return None
        frame: Any = sys._getframe(2)
        while frame and not is_of_the_model(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None:
            return None
        line = place(Path(frame.f_code.co_filename), frame.f_lineno)
        self._lines[line] = ASKED
        return meaning == (line == self._other_way_at)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def drop_questions(program: "ExportedProgram") -> None:
    """Takes out what only asked and was answered as the net was traced."""
    from torch.fx import GraphModule

    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            for node in reversed(module.graph.nodes):
                if not node.users and getattr(node.target, "_opname", "") in QUESTIONS:
                    module.graph.erase_node(node)
            module.recompile()


def limits_nothing(node: Any) -> bool:
    """Returns whether a node of a program limits its first argument to all finite values."""
    import torch

    if node.target is not torch.ops.aten.clamp.default or len(node.args) != 3:
        return False
    values, least, most = node.args
    dtype = values.meta["val"].dtype
    if not dtype.is_floating_point or None in (least, most):
        return False
    largest = torch.finfo(dtype).max
    return bool(least <= -largest and most >= largest)
