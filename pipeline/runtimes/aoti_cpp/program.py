"""The program: compile.py makes C++ of model.pt2 where it is built, and check.cpp runs it."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.formats.torch_export.tensors import signature
from pipeline.runtimes import _compiler, _files
from pipeline.runtimes.contract import Place

NAME = "aoti_cpp"
build, run = _compiler.build, _compiler.run
HERE = Path(__file__).with_name("program")


def find() -> Place:
    place = _compiler.find("g++", "torch", "TORCH")
    torch = Path(place.environment["TORCH"])
    return replace(
        place,
        environment={**place.environment, "PYTHON": sys.executable},
        readable=[*place.readable, torch.parent, Path(sys.prefix), Path(sys.base_prefix)],
    )


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    names = signature(directory)
    tables = [_table(side.upper(), names[side], schema[side]) for side in ("inputs", "outputs")]
    return {**_files.of(NAME, HERE, _compiler.SHARED), "model.h": "\n".join([HEAD, *tables])}


HEAD = """// What the program takes and gives, in its order.
typedef struct {
  const char *name;
} Port;
"""


def _table(word: str, names: list[str], described: Mapping[str, Any]) -> str:
    """Raises ValueError for a program of other names, or one that is no text of C's."""
    if sorted(names) != sorted(described):
        raise ValueError(f"{NAME}: found {word} {names} in model.pt2, expected {list(described)}")
    rows = "".join(f"  {{{_compiler.quoted(name)}}},\n" for name in names)
    return f"static const Port {word}[] = {{\n{rows}}};\n"


def card(directory: Path) -> str:
    return f"make -C runtimes/{NAME}"
