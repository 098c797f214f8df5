"""What a model's own code raises becomes one line: where in it, and what it said."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pipeline
from pipeline.errors import ModelError, ParamsError
from pipeline.frameworks.contract import TrainingModule

OURS = Path(pipeline.__file__).parent
FRAMEWORKS = OURS / "frameworks"
PYTHONS: tuple[type[Exception], ...] = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError),
    *(TypeError, ValueError),
)
"""What Python raises where code and its arguments do not fit."""
LONGEST = 400
"""Characters of a message; TensorFlow's go on with the graph."""

Place = tuple[Path, int, str]
"""A file, a line of it and the function that the line is of."""


@contextlib.contextmanager
def translate_model_faults(framework: TrainingModule[Any], when: str) -> Iterator[None]:
    """Raises ModelError for what the model's code raises, or a library that it or the training
    calls, and where a framework calls a model with arguments that it does not take; ParamsError for
    what a framework itself refuses. A fault of ours stays as it is."""
    try:
        yield
    except PYTHONS + framework.FAULTS as fault:
        places = list(_places(fault.__traceback__))
        last = places[-1][0]
        if isinstance(fault, ValueError) and last.is_relative_to(FRAMEWORKS):
            raise ParamsError(str(fault)) from None
        called = isinstance(fault, TypeError) and last.is_relative_to(FRAMEWORKS)
        if last.is_relative_to(OURS) and not called:
            raise
        raise ModelError(f"{_where(places)}: {_message(fault)}; {when}") from fault


def _places(trace: TracebackType | None) -> Iterator[Place]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield Path(code.co_filename), trace.tb_lineno, code.co_name
        trace = trace.tb_next


def _where(places: list[Place]) -> str:
    """Returns the last line of the user's own code, or else what was called of the model."""
    here = Path.cwd()
    for file, line, function in reversed(places):
        if _is_the_users(file, here):
            return f"{file.relative_to(here)}:{line}, in {function}"
    ours = [(file, function) for file, _, function in places if file.is_relative_to(OURS)]
    named = [each for file, each in ours if not file.name.startswith("_") and each[0] != "_"]
    return f"model, in {(named or [each for _, each in ours])[-1]}"


def _is_the_users(file: Path, here: Path) -> bool:
    if not file.is_relative_to(here) or file.is_relative_to(OURS):
        return False
    return not any(part.startswith(".") for part in file.relative_to(here).parts)


def _message(fault: Exception) -> str:
    text = str(fault)
    if text.startswith("Graph execution error"):  # and where the graph was made, before the reason
        text = text.strip().rpartition("\n\n")[2]
    text = " ".join(text.split())
    return f"{type(fault).__name__}: {text[:LONGEST]}"
