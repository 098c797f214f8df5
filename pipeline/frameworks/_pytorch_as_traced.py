"""A net that asks whether it is traced is answered alike in training and in a trace, so that the
two take one path."""

import sys
from typing import Any

import torch

QUESTIONS = ("is_compiling", "is_exporting")
"""torch has each in several places, which ask one another."""
_is_compiling_flag = False
"""Of torch.compiler; what stands here is never read."""


def answer_as_traced() -> None:
    """Has torch.compiler.is_compiling() and is_exporting() say yes, from now on, to all but torch.

    What a net computes only where it is not traced, as a causal mask that is left out when the
    values of a batch allow it, is in no program, and has other last bits. Whoever imported one of
    the functions by its name has the same object, hence the code in place of the attribute.
    """
    torch.compiler._is_asked_by_others = _is_asked_by_others  # type: ignore[attr-defined]
    for name in QUESTIONS:
        question: Any = getattr(torch.compiler, name)
        question.__code__ = _answer.__code__


def _answer() -> bool:
    # Runs in the names of torch.compiler. TorchScript compiles the first branch alone.
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return False
    else:  # noqa: RET505
        return _is_compiling_flag or _is_asked_by_others()


def _is_asked_by_others() -> bool:
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_name in QUESTIONS:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).partition(".")[0] != "torch"
