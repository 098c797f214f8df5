"""What a program in C or C++ takes: a compiler, make, and a library out of an installed wheel."""

import importlib.util
import shutil
from pathlib import Path

from pipeline.runtimes.contract import NotHere, Place

SHARED = Path(__file__).with_name("_c")


def find(compiler: str, library: str, variable: str) -> Place:
    """Returns where headers and libraries of a wheel lie, as `variable` for the Makefile. Raises
    NotHere."""
    for program in (compiler, "make"):
        if shutil.which(program) is None:
            raise NotHere(
                f"{program} is not installed; install a compiler (sudo scripts/install_servers)"
            )
    spec = importlib.util.find_spec(library)
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise NotHere(f"{library} is not installed; install it: pip install {library}")
    folder = Path(places[0])
    return Place(environment={variable: str(folder)}, readable=[folder, *_linked(folder)])


def _linked(folder: Path) -> list[Path]:
    """Returns where the libraries lie that are links: an installer may keep one copy for all."""
    links = (path for path in folder.glob("*.so*") if path.is_symlink())
    return [path.resolve() for path in links]


def build(source: Path, target: Path) -> list[str]:
    """Returns the command that makes `check`, as the Makefile beside the program has it."""
    return ["make", "-C", str(source), f"OUT={target}", f"{target}/check"]


def run(source: Path, target: Path) -> list[str]:
    """Returns the command that starts `check`."""
    return [f"{target}/check"]


def quoted(text: str) -> str:
    """Returns a text as C has it. Raises ValueError for one that is not plain."""
    if not text.isprintable() or set(text) & set('"\\') or not text.isascii():
        raise ValueError(f"{text!r} cannot stand in a program, expected plain letters")
    return f'"{text}"'
