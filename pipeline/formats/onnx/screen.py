"""Looks at the graph before it is loaded."""

import re
from functools import partial
from pathlib import Path

from .._onnx_proto import Entry
from .._onnx_screen import check_file
from .._protobuf import Message
from ._files import EXTERNAL, FILE

DOMAINS = frozenset({"ai.onnx", "ai.onnx.ml"})
KEYS = ["length", "location", "offset"]
NUMBER = re.compile(r"[0-9]{1,18}")


def screen(directory: Path) -> None:
    """Raises ValueError unless the graph is of ONNX' own operators, and each weight lies, whole, in
    it or in one of the files that hold weights for it."""
    path = directory / FILE
    try:
        check_file(path, DOMAINS, partial(_check_external, directory))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_external(directory: Path, name: str, entries: list[Message], size: int) -> None:
    """Raises ValueError unless the weight lies in a plain file of the model's own.

    A hard link is one: its bytes are what counts, and those are named by digest elsewhere.
    """
    pairs = [(entry.text(Entry.KEY), entry.text(Entry.VALUE)) for entry in entries]
    values = dict(pairs)
    file = values.get("location", "")
    if file not in EXTERNAL or sorted(values) != KEYS:
        allowed = f"{', '.join(EXTERNAL[:-1])} or {EXTERNAL[-1]}"
        raise ValueError(
            f"{name!r} lies in {file[:200]!r}, expected {allowed} beside it, an offset and a "
            "length; do not load it"
        )
    path = directory / file
    folders = (directory / folder for folder in Path(file).parents[:-1])
    if any(each.is_symlink() for each in (path, *folders)) or not path.is_file():
        raise ValueError(f"{name!r} lies in {file}, which is no plain file; do not load it")
    numbers = values["offset"], values["length"]
    if len(pairs) != len(KEYS) or not all(NUMBER.fullmatch(each) for each in numbers):
        raise ValueError(f"{name!r} lies at {numbers} of {file}, expected numbers; do not load it")
    offset, length = map(int, numbers)
    if length != size or offset + length > path.stat().st_size:
        raise ValueError(
            f"{name!r} takes {size} bytes and lies at {offset}, {length} long, in {file} of "
            f"{path.stat().st_size}; do not load it"
        )
