"""Who may import whom, in one direction only."""

import ast
from pathlib import Path

import pytest

from testing.imports import closure
from testing.project import ROOT

PACKAGE = ROOT / "pipeline"
FRAMEWORKS = ("torch", "keras", "tensorflow")
ONLY_OUR_OWN = {
    "models": ("models",),
    "pipeline/formats": ("pipeline.formats.",),
    "pipeline/frameworks": ("pipeline.frameworks.",),
    "pipeline/sandbox/launcher": ("pipeline.sandbox.launcher.",),
    "pipeline/sandbox/worker": ("pipeline.sandbox.worker.",),
    "pipeline/errors.py": (),
    "pipeline/text.py": (),
}
NEVER = {
    "pipeline/compose.py": (*FRAMEWORKS, "mlflow"),
    "pipeline/config": (*FRAMEWORKS, "mlflow", "dvc", "models"),
    "pipeline/diff": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/examine": ("models", "pipeline.frameworks", *FRAMEWORKS, "mlflow"),
    "pipeline/log_to_mlflow.py": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/prepare.py": (*FRAMEWORKS, "mlflow"),
    "pipeline/relog": ("models", "pipeline.frameworks", *FRAMEWORKS, "mlflow"),
    "pipeline/resolve": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/sandbox/launcher": ("models", "pipeline.config", "pipeline.formats", *FRAMEWORKS),
    "pipeline/trace": ("models", "pipeline.frameworks", "torch", "keras", "mlflow", "dvc"),
    "pipeline/tracking": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/untrusted": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/verification": ("models", "pipeline.frameworks", *FRAMEWORKS),
    "pipeline/verify.py": ("models", "pipeline.frameworks", *FRAMEWORKS),
}


def imported(path: Path) -> set[str]:
    """Dotted names, those inside functions included; `from a import b` is a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            folder = path.relative_to(ROOT).parent.parts
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def modules(place: str) -> list[Path]:
    path = ROOT / place
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
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
    loading = {
        p.relative_to(PACKAGE).parts[0]
        for p in PACKAGE.rglob("*.py")
        if any(within(n, "mlflow") for n in imported(p))
    }
    assert loading == {"log_to_mlflow.py", "tracking"}


@pytest.mark.parametrize("stage", ["verify", "log_to_mlflow"])
def test_after_the_reference_is_recorded_no_stage_loads_what_trains(stage):
    loaded = closure(PACKAGE / f"{stage}.py")
    assert not [each for each in loaded if each.startswith("pipeline/frameworks/")]
