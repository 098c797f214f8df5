"""A killed stage resumes from what was saved for the same plan, and from nothing else."""

import shutil
from pathlib import Path

from pipeline import provenance
from pipeline.run import resume_state


def test_a_training_that_is_run_again_begins_again(tmp_path: Path) -> None:
    output, plan = tmp_path / "train", {"externalParameters": {"params": {"lr": 1}}}
    resume_state.begin(output, plan)
    (output / "epoch_0001.pt").write_bytes(b"1" * 4096)
    resume_state.save(output, output / "epoch_0001.pt")
    definition = plan | {"resolvedDependencies": [{"name": "git"}]}
    provenance.write(output, definition, without=resume_state.NAME)
    resume_state.finish(output)
    assert not (output / resume_state.NAME).exists() and provenance.faults(output) == []
    wanted = plan | {"resolvedDependencies": []}
    assert not resume_state.resume(output, wanted), "run again, it begins again"


def test_finished_work_comes_back_for_its_own_plan_alone(tmp_path: Path) -> None:
    """A kill between the stage's end and DVC's saving it must not cost the training."""
    output, plan = tmp_path / "train", {"resolvedDependencies": []}
    for wanted, back in (
        (plan, True),
        ({"resolvedDependencies": [{"name": "a", "digest": {}}]}, False),
    ):
        resume_state.begin(output, plan)
        (output / "epoch_0001.pt").write_bytes(b"1" * 4096)
        resume_state.save(output, output / "epoch_0001.pt")
        resume_state.finish(output)
        shutil.rmtree(output)
        assert resume_state.resume(output, wanted) is back
        assert (output / "epoch_0001.pt").exists() is back
