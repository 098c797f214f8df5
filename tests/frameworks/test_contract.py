"""What every module in pipeline/frameworks keeps to, whichever library it is for."""

import ast
from pathlib import Path

import pytest

from pipeline import frameworks
from pipeline.config.bounds import Plugin
from testing.contracts import broken

FOLDER = Path(frameworks.__file__).parent


def test_the_folder_is_the_registry() -> None:
    assert {"keras", "pytorch"} <= set(frameworks.names())
    assert frameworks.names() == Plugin("frameworks").names()


def test_the_type_checker_holds_every_framework_to_its_contract(tmp_path: Path) -> None:
    lines = ["from pipeline.frameworks import contract", "from pipeline.training import parent"]
    for name in frameworks.names():
        lines.append(f"from pipeline.frameworks import {name}")
        lines.append(f"_{name}: contract.Framework[{name}.Training] = {name}")
    lines.append("_parent: contract.TrainingModule[parent.Training] = parent")
    lines.append("_no_framework: contract.Framework[parent.Training] = parent")
    assert broken(lines, tmp_path) == lines[-1:]


@pytest.mark.parametrize("name", frameworks.names())
def test_it_declares_a_class_for_every_part_of_a_model(name: str) -> None:
    framework = frameworks.framework(name)
    assert set(framework.BASES) - {"augment"} == {"net", "loss", "optimizer", "scheduler"}
    assert set(framework.PARTS) == {"packages", "parts"}
    assert framework.SUFFIX.startswith(".") and framework.SUFFIX != ".tar"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_it_imports_nothing_of_ours_but_what_lies_beside_it(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert str(node.module).split(".")[0] not in {"models", "pipeline", "testing"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1
