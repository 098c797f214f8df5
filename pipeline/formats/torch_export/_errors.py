"""Errors of torch's become one line each."""

from .._torch import constant


def in_one_line(error: BaseException) -> str:
    """Returns what torch says about its cause, and the line of the model that it blames."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines[1:] if line.startswith("- ")]
    marks = [n for n, line in enumerate(lines) if line.startswith("The following call raised")]
    if hint := constant(str(error)):
        return hint
    blamed = lines[marks[0] + 1 : marks[0] + 3] if marks else []
    return " ".join([*lines[:1], *reasons, *blamed]) or type(error).__name__
