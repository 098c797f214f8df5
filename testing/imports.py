"""What a module of ours loads, read from its source: imports, those within functions included,
plug-ins that it loads by name, and files beside it that it runs or reads."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from testing.project import ROOT

PACKAGE = "pipeline"
BESIDE = (".py", ".css", ".html", ".bash", ".txt", ".json")


def closure(start: Path, root: Path = ROOT) -> set[str]:
    """Paths from the root of `start`, of all that it loads and of all that those load."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix()
        if name not in reached:
            reached.add(name)
            waiting += loaded(path, root) if path.suffix == ".py" else ()
    return reached


@cache
def loaded(path: Path, root: Path) -> frozenset[Path]:
    """Files of the package; its own __init__.py is loaded with each module of a folder."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for name in _names(node, path, root):
            found |= set(_files(name, root))
        found |= set(_beside(node, path))
    if 'import_module(f"{__name__}' in path.read_text():
        found |= set(path.parent.rglob("*.py"))
    return frozenset(found - {path})


def _names(node: ast.AST, path: Path, root: Path) -> Iterator[str]:
    """Dotted names that the node imports or hands to another interpreter (`-m`)."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = path.relative_to(root).parent.parts
        above = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join((*above, *filter(None, [node.module])))
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif (text := _text(node)).startswith(f"{PACKAGE}.") and text.replace(".", "").isidentifier():
        yield text


def _files(name: str, root: Path) -> Iterator[Path]:
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file


def _beside(node: ast.AST, path: Path) -> Iterator[Path]:
    """`with_name("worker.py")`, `with_suffix(".css")`."""
    text = _text(node)
    if text.endswith(BESIDE) and "/" not in text:
        for name in (text, f"{path.stem}{text}"):
            if (path.parent / name).is_file():
                yield path.parent / name


def _text(node: ast.AST) -> str:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else ""
