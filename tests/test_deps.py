"""dvc.yaml names all the code that can change a stage's result."""

import pytest

from pipeline.config.yaml_text import load_yaml
from testing.imports import closure
from testing.project import ROOT

STAGES = load_yaml((ROOT / "dvc.yaml").read_text(), "dvc.yaml")["stages"]

CHANGES_NO_RESULT = {
    "pipeline/__init__.py": "begins the preloading",
    "pipeline/errors.py": "words what a stage ends with when it has no result",
    "pipeline/files.py": "writes a file whole or not at all, and words the system's errors",
    "pipeline/written.py": "knows the sha256 of what was written, and gives a file a second name",
    "pipeline/preloading/__init__.py": "chooses the process that the same code runs in",
    "pipeline/preloading/client.py": "hands a stage to that process",
    "pipeline/preloading/imports.py": "says which libraries it has imported",
    "pipeline/preloading/parent.py": "forks it",
    "pipeline/preloading/server.py": "starts what forks it",
    "pipeline/project.py": "says where things lie, and what the stages are called",
    "pipeline/text.py": "escapes what is printed",
    "pipeline/untrusted/__init__.py": "is a docstring",
    "pipeline/untrusted/documents.py": "gives what json.loads does, or refuses it",
    "pipeline/untrusted/limits.py": "says how much is read before it is refused",
    "pipeline/untrusted/plain_files.py": "lets a directory be read, or refuses it",
}


NAMED_BY_A_PARAM = {
    "train": ("pipeline/foreign", "pipeline/formats"),
    "checkpoint": ("pipeline/foreign", "pipeline/formats"),
}
"""A format is loaded where a complete model is trained on, and only that model's, and the readers
of checkpoints where training starts from one: their code is the param parent_code of
conf.lock.yaml, for other code changes no result of these stages."""


SCREENS_A_PARENT = (
    *("pipeline/complete_model", "pipeline/data", "pipeline/examine", "pipeline/sandbox"),
    *("pipeline/runtimes", "pipeline/untrusted", "pipeline/verification"),
)
"""Let a complete model through to be trained on, or end the stage; no result hangs on how."""
TRAINS_ON = ("train", "checkpoint", "export-complete")


def outside(stage: str) -> set[str]:
    """Modules that the stage loads and dvc.yaml does not name."""
    deps = [*STAGES[stage]["deps"], *NAMED_BY_A_PARAM.get(stage, ())]
    deps += SCREENS_A_PARENT if stage in TRAINS_ON else ()
    loaded = closure(ROOT / "pipeline" / f"{stage.replace('-', '_')}.py")
    return {m for m in loaded if not any(m == dep or m.startswith(f"{dep}/") for dep in deps)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_can_change_its_result(stage):
    assert outside(stage) - set(CHANGES_NO_RESULT) == set()


def test_no_module_is_excused_that_no_stage_loads():
    assert set().union(*map(outside, STAGES)) == set(CHANGES_NO_RESULT)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_folder_that_it_loads_nothing_of(stage):
    loaded = closure(ROOT / "pipeline" / f"{stage.replace('-', '_')}.py")
    ours = [dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline")]
    assert [dep for dep in ours if not any(each.startswith(dep) for each in loaded)] == []
