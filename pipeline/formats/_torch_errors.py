"""Errors of torch's tracing become one line each: what cannot be, where in the model, and what to
write in its place."""

import linecache
import re
import sys
import traceback
from collections.abc import Container
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ._torch import ROWS, constant

if TYPE_CHECKING:
    from torch import nn

OURS = Path(__file__).parent
FAULTS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError),
    *(TypeError, ValueError),
)
"""What tracing raises: torch's own errors are RuntimeErrors, and what a model's code makes of a
tensor without values can be any of these."""
LONGEST_LINE = 100
LOST = "found a fake tensor in the exported program"
TAKEN_OUT = (
    "it takes a tensor out of the trace, as x.data and x.detach().requires_grad_() do, or a "
    "derivative within forward; write it with x.detach() and without torch.autograd.grad"
)
UNSAID = "Cannot create Dim with inconsistent"
"""What torch (2.13) ends in while it writes which sizes would be fixed or bounded."""
DECIDES = "a size that is left open decides what is computed; compute the same for each, or fix it"
BY_VALUES = "data-dependent"
WAY_OUT = (
    "it goes by the values of a tensor, which no program knows beforehand; keep shapes and choose "
    "with torch.where or a mask, or switch it off"
)
DRAWN = (
    "a number that is drawn at each step decides here what is computed, as where layers are "
    "skipped at random; set that chance to 0 (layerdrop: 0), or multiply what is skipped by the "
    "draw, 0 or 1"
)


FRAME = re.compile(r'File "([^"]+)", line (\d+)')
BRANCH = re.compile(r"Not all values of (\w+) = .* satisfy the generated guard (.*)")


def branches(text: str) -> str:
    """Returns what is said where a size decides what is computed; "" where none does."""
    match = BRANCH.search(text)
    if match is None:
        return ""
    size = "number of rows" if match[1] == ROWS else f"dimension {match[1]}"
    limits = re.sub(r"L\['\w+'\](\[\d+\])?\.size\(\)\[\d+\]", match[1], match[2])
    return f"the {size} decides what is computed ({limits}); compute the same for each, or fix it"


def fixes_size(error: BaseException) -> bool:
    """Returns whether torch says that a size would be fixed, or bounded."""
    text = str(error)
    return bool(constant(text) or branches(text) or UNSAID in text)


def by_values(error: BaseException) -> bool:
    """Returns whether torch says that the values of a tensor decide."""
    return BY_VALUES in str(error).partition("\n\n")[0]


def in_one_line(error: BaseException, draws: Container[str] = ()) -> str:
    """Returns what torch says about its innermost cause, and the line of the model that it blames;
    what is known to come of a model's own choice is told with the way out. Some lines are known to
    read what the model draws."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error)
    if hint := constant(text) or branches(text):
        return hint
    if UNSAID in text:
        return DECIDES
    if LOST in text:
        return TAKEN_OUT
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    listed = [line for line in lines[1:] if line.startswith("- ")]
    line = blamed(error)
    place = line.removesuffix(":")
    if by_values(error):
        way_out = DRAWN if line in draws else WAY_OUT
        return f"{place}: {way_out}" if place else way_out
    said = " ".join([*lines[:1], *listed]) or type(error).__name__
    return f"{said}, at {place}" if place else said


def scripted(module: "nn.Module") -> str:
    """Returns what is said of a part that torch.jit made, which no trace goes into; "" where there
    is none."""
    import torch

    named = module.named_modules()
    parts = [name for name, each in named if isinstance(each, torch.jit.ScriptModule)]
    if not parts:
        return ""
    return f"its part {parts[0].removeprefix('net.')} is TorchScript; put the Python class there"


def hidden(module: "nn.Module") -> str:
    """Returns what is said of a part, weight or buffer that is called as what every program of
    torch's has, which would hide it; "" where there is none."""
    import torch

    program = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())
    taken = {*dir(program)} - {*dir(torch.nn.Module())}
    names = [*dict(module.named_parameters()), *dict(module.named_buffers())]
    first = next((each for each in names if each.partition(".")[0] in taken), "")
    part = first.partition(".")[0]
    return first and f"a program has a {part} of its own, which hides {first}; rename it"


def blamed(error: BaseException) -> str:
    """Returns the innermost line of what is neither torch's nor ours, as file:line and its text; ""
    where there is none. Where on this machine the file lies is left out."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_of_the_model(frame.filename):
            return place(Path(frame.filename), frame.lineno or 0)
    return ""


def at(node: Any) -> str:
    """Returns which line of the model a node of a program is of, as " at ..."; "" where it is of
    none."""
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    own = [(file, int(line)) for file, line in frames if is_of_the_model(file)]
    return f" at {place(Path(own[-1][0]), own[-1][1])}" if own else ""


def is_of_the_model(name: str) -> bool:
    """Returns whether a file is neither torch's nor ours, nor made as it runs."""
    import torch

    file = Path(name)
    inner = file.is_relative_to(Path(torch.__file__).parent) or file.is_relative_to(OURS.parent)
    return file.suffix == ".py" and file.is_absolute() and not inner


def asking_frame() -> FrameType | None:
    """Returns the innermost frame that is not ours, of what is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and Path(frame.f_code.co_filename).is_relative_to(OURS):
        frame = frame.f_back
    return frame


def asking_line() -> str:
    """Returns the line of the model that is running; "" where it is none of its own."""
    frame = asking_frame()
    while frame is not None and not is_of_the_model(frame.f_code.co_filename):
        frame = frame.f_back
    return place(Path(frame.f_code.co_filename), frame.f_lineno) if frame is not None else ""


def place(file: Path, line: int) -> str:
    """Returns file:line and what stands there."""
    roots = [
        each for each in (str(Path.cwd()), *filter(None, sys.path)) if file.is_relative_to(each)
    ]
    name = file.relative_to(max(roots, key=len)) if roots else Path(file.name)
    text = linecache.getline(str(file), line).strip()[:LONGEST_LINE]
    return f"{name}:{line}: {text}" if text else f"{name}:{line}"
