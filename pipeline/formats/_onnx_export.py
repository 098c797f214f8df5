"""What every export to ONNX does, whatever the model comes from."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._torch import constant

# torch.onnx says here, in four lines, that torchvision is not installed.
TORCHVISION = "torch.onnx._internal.exporter._registration"


def write(model: Any, path: Path) -> None:
    """Writes an onnx_ir.Model without what tells of the source; the same model gives the same
    bytes."""
    import onnx_ir

    proto = onnx_ir.to_proto(model)
    strip(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def strip(message: Any) -> None:
    """Clears doc strings and metadata throughout: names, paths and lines of the source stand in
    them."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                strip(each)


def reason(error: BaseException) -> str:
    """Returns the innermost cause's first line, what it lists, and the line of the model that it
    blames."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    listed = [line for line in lines[1:] if line.startswith("- ")]
    marks = [n for n, line in enumerate(lines) if line.startswith("The following call raised")]
    if hint := constant(str(error)):
        return hint
    blamed = lines[marks[0] + 1 : marks[0] + 3] if marks else []
    return " ".join([*lines[:1], *listed, *blamed]) or type(error).__name__


@contextmanager
def silenced(level: int, *names: str) -> Iterator[None]:
    """Lets loggers say what is of `level` or worse alone."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)
