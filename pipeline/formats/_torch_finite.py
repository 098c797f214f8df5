"""A net that limits values to the largest number there is, where it meets one that is not finite,
limits them always: what is finite stays as it is, bit for bit.

Detectors do so in training: `if not torch.isfinite(x).all(): x = x.clamp(-largest, largest)`. No
program branches by values, so that the question is answered with "some are not", and the program
has to be that of the other answer but for the limits (`limits_nothing`).
"""

from typing import TYPE_CHECKING, Any

from ._torch_errors import asking_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram

ASKED = "whether all values are finite"
FINITE = {"isfinite"}
NOT_FINITE = {"isinf", "isnan"}
INVERTED = {"logical_not", "__invert__", "bitwise_not"}
EVERY = {"all", "logical_and", "__and__", "bitwise_and"}
SOME = {"any", "logical_or", "__or__", "bitwise_or"}
"""What asks of all of several values or answers, or of any, without asking something else."""
READ = {"__bool__", "item"}
QUESTIONS = FINITE | NOT_FINITE | INVERTED | EVERY | SOME


def asked_for_finite(lines: dict[str, str], other_way_at: str = "") -> Any:
    """Returns a context in which whoever asks whether values are finite hears that some are not; at
    the line `other_way_at` that all are. `lines` gets each line that asks."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    means: dict[int, tuple[Tensor, bool]] = {}  # by id; whether true says that all are finite

    def known(value: Any) -> bool | None:
        return means[id(value)][1] if id(value) in means else None

    class Asking(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = getattr(func, "__name__", "")
            if name in READ and known(args[0]) is not None:
                line = asking_line()
                if line:
                    lines[line] = ASKED
                    return known(args[0]) == (line == other_way_at)
            result = func(*args, **(kwargs or {}))
            of = [known(each) for each in args if isinstance(each, Tensor)]
            if isinstance(result, Tensor) and (meaning := _meaning(name, of)) is not None:
                means[id(result)] = result, meaning
            return result

    return Asking()


def _meaning(name: str, of: list[bool | None]) -> bool | None:
    """Returns whether true says that all values are finite, or that some are not; else null."""
    if name in FINITE | NOT_FINITE:
        return name in FINITE
    if name not in QUESTIONS or not of or None in of or len({*of}) > 1:
        return None
    if name in INVERTED:
        return not of[0]
    return of[0] if name in (EVERY if of[0] else SOME) else None


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
