"""Holds for every file in pipeline/verification/checks/."""

import ast
import inspect
from pathlib import Path

import pytest

from pipeline.verification import checks
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Result

CHECKS = checks.names()
FOREIGN = ("models", "pipeline.frameworks", "torch", "tensorflow", "keras")


@pytest.mark.parametrize("name", CHECKS)
def test_it_judges_evidence(name: str) -> None:
    signature = inspect.signature(checks.named(name).check)
    assert [p.annotation for p in signature.parameters.values()] == [Evidence]
    assert signature.return_annotation is Result


@pytest.mark.parametrize("name", CHECKS)
def test_its_docstring_tells_the_report_s_reader_what_is_checked(name: str) -> None:
    first = (checks.named(name).__doc__ or "").partition("\n")[0]
    assert first.endswith(".")
    assert len(first) > 30


@pytest.mark.parametrize("name", CHECKS)
def test_it_imports_neither_the_source_nor_a_framework(name: str) -> None:
    tree = ast.parse(Path(str(checks.named(name).__file__)).read_text())
    imported = [
        n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names
    ]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for module in imported:
        assert not any(module == each or module.startswith(f"{each}.") for each in FOREIGN)


@pytest.mark.parametrize("name", CHECKS)
def test_it_has_been_seen_to_fail(name: str) -> None:
    tests = Path(__file__).with_name(f"test_{name}.py").read_text()
    assert "_found(" in tests or "_told(" in tests or "_named(" in tests or "_fault(" in tests


@pytest.mark.parametrize("name", CHECKS)
def test_a_healthy_model_passes(name: str, evidence: Evidence) -> None:
    assert checks.named(name).check(evidence).faults == ()
