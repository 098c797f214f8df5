"""Who may import whom, in one direction only."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "pipeline"
ONLY_OUR_OWN = {
    "models": ("models",),
    "pipeline/formats": (),
    "pipeline/frameworks": ("pipeline.frameworks._",),
}
NEVER = {
    "pipeline/checks": ("models", "pipeline.frameworks", "torch", "keras", "tensorflow"),
    "pipeline/clean_process.py": ("models", "pipeline"),
    "pipeline/confine.py": ("models", "pipeline"),
    "pipeline/verify.py": ("models", "pipeline.frameworks", "torch", "keras", "tensorflow"),
    "pipeline/log_to_mlflow.py": ("models", "pipeline.frameworks", "torch", "keras", "tensorflow"),
    "pipeline/compose.py": ("torch", "keras", "tensorflow", "mlflow"),
    "pipeline/examine": ("models", "pipeline.frameworks", "torch", "keras", "tensorflow", "mlflow"),
    "pipeline/signatures.py": ("models", "pipeline.frameworks", "torch", "keras", "tensorflow"),
    "pipeline/resolve": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/trace": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/relog": ("models", "pipeline.frameworks", "torch", "keras", "tensorflow", "mlflow"),
    "pipeline/diff": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/prepare.py": ("torch", "keras", "tensorflow", "mlflow"),
}


def imported(path: Path) -> set[str]:
    """Dotted names, those inside functions included; `from a import b` is a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules(place: str) -> list[Path]:
    path = ROOT / place
    found = [path] if path.is_file() else sorted(path.glob("*.py"))
    assert found, place
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("place", ONLY_OUR_OWN)
def test_models_frameworks_and_formats_import_nothing_else_of_ours(place):
    for path in modules(place):
        for name in imported(path):
            ours = within(name, "pipeline") or within(name, "models")
            assert not ours or name.startswith(ONLY_OUR_OWN[place] or "nothing"), f"{path}: {name}"


@pytest.mark.parametrize("place", NEVER)
def test_what_must_do_without_the_source_or_a_framework_imports_none(place):
    for path in modules(place):
        for name in imported(path):
            assert not any(within(name, each) for each in NEVER[place]), f"{path}: {name}"


def test_mlflow_is_loaded_by_its_own_stage_alone():
    allowed = {"dvc_source.py", "log_to_mlflow.py", "mlflow_requests.py", "mlflow_store.py"}
    allowed |= {"projection.py", "registry.py", "upload.py"}
    loading = {
        p.relative_to(PACKAGE).as_posix()
        for p in PACKAGE.rglob("*.py")
        if any(within(n, "mlflow") for n in imported(p))
    }
    assert loading == allowed
