"""A stranger can read the house: small modules, small functions, and each says what it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.project import ROOT

LINES_OF_A_MODULE = 250
LINES_OF_A_FUNCTION = 60
PACKAGE = ROOT / "pipeline"
OURS = ("pipeline", "models", "testing", "tests", "faults", "benchmarks", "scripts")
NO_PACKAGES = ("hydra_plugins", "program", "refused")
"""Where Hydra looks for plug-ins, programs that lie in a complete model, and what stands before
this package where a program must do without it."""


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Yields each function's name and its lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, int(node.end_lineno or 0) - node.lineno + 1


def too_long(text: str, module: int = LINES_OF_A_MODULE) -> list[str]:
    lines = len(text.splitlines())
    faults = [f"{lines} lines"] if lines > module else []
    return faults + [f"{name}: {n} lines" for name, n in functions(text) if n > LINES_OF_A_FUNCTION]


def test_no_module_and_no_function_of_the_package_is_long():
    faults = {str(path): too_long(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert {path: each for path, each in faults.items() if each} == {}


@pytest.mark.parametrize("folder", OURS)
def test_no_function_is_long_anywhere(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    faults = {str(path): too_long(path.read_text(), module=10**6) for path in paths}
    assert paths and {path: each for path, each in faults.items() if each} == {}


def test_what_is_long_would_be_noticed():
    assert too_long("x = 1\n" * 251) == ["251 lines"] and too_long("x = 1\n" * 250) == []
    body = "    x = 1\n" * 60
    assert too_long(f"class A:\n  def f():\n{body}") == ["f: 61 lines"]


def undescribed(package: Path) -> list[str]:
    """Returns the modules that do not say what they are, and folders of modules that none does."""
    modules = sorted(package.rglob("*.py"))
    silent = [path for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]
    folders = {path.parent for path in modules if path.parent.name not in NO_PACKAGES}
    silent += [folder for folder in folders if not (folder / "__init__.py").is_file()]
    return [path.relative_to(package).as_posix() for path in silent]


def test_every_module_and_every_folder_says_what_it_is():
    assert undescribed(PACKAGE) == []


def test_a_folder_that_says_nothing_would_be_noticed(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room/part.py").write_text('"""A part."""\n')
    (tmp_path / "silent.py").write_text("x = 1\n")
    assert set(undescribed(tmp_path)) == {"silent.py", "room", "."}
