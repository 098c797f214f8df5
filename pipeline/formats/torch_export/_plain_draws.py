"""Numbers that a step draws from Python's and numpy's own generators would be constants in the
program, whatever seed it goes on from."""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np

from .._torch_errors import is_of_the_model, place

T = TypeVar("T")
PYTHONS = os.sep + "random.py"


def demand_none(run: Callable[[], T], what: str) -> T:
    """Returns what `run` does; raises ValueError, with the line of the model, where it draws from
    them. It is run again then, to find the line, and the generators are left as they were."""
    before = _states()
    result = run()
    if _states() == before:
        return result
    _set(before)
    drawn = _first_draw(run, before)
    _set(before)
    raise ValueError(
        f"torch_export: {what} draws from Python's or numpy's generator{drawn}, and a program "
        "would hold one draw for good; draw with torch (torch.rand, torch.randperm), or switch it "
        "off"
    )


def _first_draw(run: Callable[[], Any], before: tuple[Any, ...]) -> str:
    """Returns the line of the model behind which the generators have moved."""
    drawn: list[str] = []
    lines: dict[FrameType, int] = {}

    def look(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call":
            return look if not drawn and is_of_the_model(frame.f_code.co_filename) else None
        if not drawn and _states() != before:
            drawn.append(_at(frame, lines.get(frame, frame.f_lineno)))
        lines[frame] = frame.f_lineno
        return look

    others = sys.gettrace()
    sys.settrace(look)
    try:
        run()
    finally:
        sys.settrace(others)
    return drawn[0] if drawn else ""


def _at(frame: FrameType, line: int) -> str:
    """Returns the line, or that which called Python's module."""
    while frame.f_code.co_filename.endswith(PYTHONS) and frame.f_back is not None:
        frame = frame.f_back
        line = frame.f_lineno
    return f" at {place(Path(frame.f_code.co_filename), line)}"


def _states() -> tuple[Any, ...]:
    """Returns what compares as equal where nothing was drawn."""
    kind, key, *rest = np.random.get_state(legacy=True)
    return random.getstate(), kind, tuple(np.asarray(key).tolist()), *rest


def _set(states: tuple[Any, ...]) -> None:
    pythons, kind, key, *rest = states
    random.setstate(pythons)
    np.random.set_state((kind, np.array(key, np.uint32), *rest))
