"""What a program in C or C++ takes: a compiler, make, and a library out of an installed wheel."""

import importlib.util
import shutil
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from pipeline.runtimes.contract import NotHere, Place

SHARED = Path(__file__).with_name("_c")


def find(
    compiler: str, library: str, variable: str, install: str = "", beside: Path | None = None
) -> Place:
    """Returns where headers and libraries of a wheel lie, as `variable` for the Makefile: of what
    is installed in the folder `beside`, or in this Python. Raises NotHere, which says how to
    `install` it; by pip, unless that is given."""
    for program in (compiler, "make"):
        if shutil.which(program) is None:
            raise NotHere(
                f"{program} is not installed; install a compiler (sudo scripts/install_servers)"
            )
    apart = PathFinder.find_spec(library, [str(beside)]) if beside else None
    spec = apart or importlib.util.find_spec(library)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        install = install or f"pip install {library}"
        raise NotHere(f"{library} is not installed; install it: {install}")
    folder = Path(places[0])
    return Place(environment={variable: str(folder)}, readable=[folder, *_linked(folder)])


def _linked(folder: Path) -> list[Path]:
    """Returns where the libraries lie that are links: an installer may keep one copy for all."""
    libraries = (path for depth in ("*.so*", "*/*.so*") for path in folder.glob(depth))
    return [path.resolve() for path in libraries if path.is_symlink()]


def build(source: Path, target: Path) -> list[str]:
    """Returns the command that makes `check`, as the Makefile beside the program has it."""
    return ["make", "-C", str(source), f"OUT={target}", f"{target}/check"]


def run(source: Path, target: Path) -> list[str]:
    """Returns the command that starts `check`."""
    return [f"{target}/check"]


def refuse_text_answers(name: str, schema: Mapping[str, Any]) -> None:
    """Raises ValueError in one line for an output of text: what the programs share writes none."""
    for each, entry in schema["outputs"].items():
        if entry["dtype"] == "string":
            raise ValueError(f"{name}: outputs {each} is text, which its program does not read")


def quoted(text: str) -> str:
    """Returns a text as C has it. Raises ValueError for one that is not plain."""
    if not text.isprintable() or set(text) & set('"\\') or not text.isascii():
        raise ValueError(f"{text!r} cannot stand in a program, expected plain letters")
    return f'"{text}"'


PORTS = """// What goes in and comes out, in this order.
typedef struct {
  const char *name;
} Port;
"""


def ports(inputs: Iterable[str], outputs: Iterable[str]) -> str:
    """Returns model.h of a program that goes by names alone. Raises ValueError for one that is no
    text of C's."""
    tables = [PORTS]
    for word, names in (("INPUTS", inputs), ("OUTPUTS", outputs)):
        rows = "".join(f"  {{{quoted(name)}}},\n" for name in names)
        tables.append(f"static const Port {word}[] = {{\n{rows}}};\n")
    return "\n".join(tables)
