"""dvc.yaml names all the code that can change a stage's result."""

import pytest

from pipeline.typed import load_yaml
from tests.conftest import ROOT
from tests.imports import closure

STAGES = load_yaml((ROOT / "dvc.yaml").read_text(), "dvc.yaml")["stages"]

CHANGES_NO_RESULT = {
    "pipeline/__init__.py": "is a docstring",
    "pipeline/disk.py": "words the system's errors, and makes a place for temporary files",
    "pipeline/errors.py": "words what a stage ends with when it has no result",
    "pipeline/experiment.py": "prints how to get back to a branch",
    "pipeline/interruption.py": "ends a stage, which then has no result",
    "pipeline/kept.py": "keeps copies, which are compared with their digests before they are used",
    "pipeline/plain.py": "escapes what is printed",
}


def outside(stage: str) -> set[str]:
    """Modules that the stage loads and dvc.yaml does not name."""
    deps = STAGES[stage]["deps"]
    loaded = closure(ROOT / "pipeline" / f"{stage.replace('-', '_')}.py")
    return {m for m in loaded if not any(m == dep or m.startswith(f"{dep}/") for dep in deps)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_can_change_its_result(stage):
    assert outside(stage) - set(CHANGES_NO_RESULT) == set()


def test_no_module_is_excused_that_no_stage_loads():
    assert set().union(*map(outside, STAGES)) == set(CHANGES_NO_RESULT)
