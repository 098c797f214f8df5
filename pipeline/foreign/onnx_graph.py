"""An ONNX graph, or a folder with one and the files of its weights."""

import mmap
from pathlib import Path

from pipeline.formats._onnx_proto import Model
from pipeline.formats._protobuf import Message

from . import _programs
from .contract import Foreign

TITLE = "ONNX graph"
GIVES = "program"
FIRST = 0x08  # the version of the message, a number
LARGEST_VERSION = 64
FIELDS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26))
"""Of ONNX' outermost message."""
OTHERS = ("config.json", "saved_model.pb")
"""Files of folders that are of another kind, and may have a graph beside them."""


def recognizes(path: Path) -> bool:
    """Returns whether its fields are those of ONNX, be it cut off or damaged within them."""
    if path.is_dir():
        inner = [each for each in path.iterdir() if each.suffix == ".onnx" and each.is_file()]
        others = any((path / name).exists() for name in OTHERS)
        return not others and any(map(recognizes, inner))
    if not path.is_file() or path.stat().st_size < 2:
        return False
    with path.open("rb") as file:
        first = file.read(2)
        if first[0] != FIRST or not 0 < first[1] < LARGEST_VERSION:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _holds_a_graph(content)


def _holds_a_graph(content: mmap.mmap) -> bool:
    """Returns whether a field is the graph, or is what the file ends within."""
    seen: set[int] = set()
    with memoryview(content) as view:
        try:
            for number, _ in Message(view).fields():
                if number not in FIELDS:
                    return False
                seen.add(number)
        except (ValueError, LookupError):
            return Model.GRAPH in seen or _ends_in_graph(view)
    return Model.GRAPH in seen


def _ends_in_graph(view: memoryview) -> bool:
    """Returns whether the field that reaches beyond the end is the graph."""
    from pipeline.formats._protobuf import varint

    at = 0
    try:
        while at < len(view):
            tag, at = varint(view, at)
            length, first = varint(view, at)
            if tag & 7 == 2 and first + length > len(view):
                return tag >> 3 == Model.GRAPH
            at = first + length if tag & 7 == 2 else first
    except (ValueError, LookupError):
        return False
    return False


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError for a graph that cannot be held."""
    return _programs.opened(path, "onnx", None)
