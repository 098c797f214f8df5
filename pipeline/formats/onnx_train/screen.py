"""Looks at state and graphs before they are loaded."""

from pathlib import Path
from typing import NoReturn

from .._onnx_screen import check_file
from .._protobuf import Message
from ._files import PREDICT, STEP
from ._states import read, refusing

DOMAINS = frozenset({"ai.onnx"})


def screen(directory: Path) -> None:
    """Raises ValueError unless both graphs are of ONNX' own operators with all constants in them,
    and each tensor of the state lies, whole, in one of the files that hold states."""
    read(directory)
    for file in (STEP, PREDICT):
        with refusing(directory / file):
            check_file(directory / file, DOMAINS, _refuse_external)


def _refuse_external(name: str, entries: list[Message], size: int) -> NoReturn:
    raise ValueError(f"{name!r} lies in another file; do not load it")
