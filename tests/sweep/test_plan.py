"""A job is named by what it is made from, and by nothing else."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import CannotRun, ParamsError
from pipeline.sweep import plan
from testing.project import Project, make_project
from testing.shared import shared

JOB = ["experiment=smoke", "train.lr=0.1"]


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    make = shared(tmp_path_factory, "committed", lambda folder: make_project(folder / "project"))
    return Project(make / "project")


@pytest.fixture
def here(committed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = Path(shutil.copytree(committed.root, tmp_path / "project"))
    monkeypatch.chdir(root)
    return Project(root)


def digest(project: Project, job: list[str] = JOB) -> str:
    [planned] = plan.plan(plan.source(project.root), [job])
    return plan.digest_in(planned.name)


def test_the_order_of_overrides_and_how_a_value_is_written_make_no_other_job(here: Project) -> None:
    before = digest(here)
    assert digest(here, JOB[::-1]) == digest(here, [JOB[0], "train.lr=1e-1"]) == before
    assert digest(here, [JOB[0], "train.lr=0.2"]) != before


def test_code_and_data_make_another_job_and_what_no_stage_reads_does_not(here: Project) -> None:
    before = digest(here)
    (here.root / "README.md").write_text("about\n")
    (here.root / "conf/model/another.yaml").write_text("name: another\n")
    (here.root / "params.yaml").write_text("what ran last\n")
    here.run("git", "add", "--all")
    assert digest(here) == before
    (here.root / "models/torch_mlp.py").open("a").write("# changed\n")
    changed = digest(here)
    (here.root / "data/new.csv").write_text("a,b\n")
    here.run("git", "add", "--all")
    assert len({before, changed, digest(here)}) == 3


def test_with_a_command_of_the_users_own_any_file_counts(here: Project) -> None:
    job = ["train=command"]
    before, others = digest(here, job), digest(here)
    (here.root / "loops/plain.toml").write_text("x = 1\n")
    here.run("git", "add", "--all")
    assert digest(here, job) != before
    assert digest(here) == others


def test_a_name_says_what_is_varied_and_is_one_of_gits(here: Project) -> None:
    varied = [f'model.name="a b/..~^:{lr}.lock"' for lr in (1, 2)]
    jobs = [[JOB[0], f"train.lr={lr}", "model=torch_cnn"] for lr in (0.1, 0.2)]
    names = [planned.name for planned in plan.plan(plan.source(here.root), jobs)]
    assert [name.rpartition("-")[0] for name in names] == ["lr0.1", "lr0.2"]
    for label in (plan._label(varied[:1]), plan._label(["x=" + "a" * 200]), plan._label(["x=.."])):
        name = f"{label}-{'0' * plan.DIGITS}"
        here.run("git", "check-ref-format", f"refs/exps/aa/bb/{name}")
        assert len(name) < 60


def test_a_job_that_could_not_begin_refuses_all_and_names_itself(here: Project) -> None:
    jobs = [["train.lr=0.1"], ["train.lr=0.1", "train.epochs=many"]]
    with pytest.raises(ParamsError, match=r"train.epochs: found 'many'.*train.lr=0.1 train.epochs"):
        plan.plan(plan.source(here.root), jobs)


def test_a_source_is_the_work_tree_and_leaves_it_alone(here: Project) -> None:
    (here.root / "models/torch_mlp.py").open("a").write("# changed\n")
    (here.root / "models/new.py").write_text("x = 1\n")
    here.run("git", "add", "models/new.py")
    (here.root / "dvc.yaml").unlink()
    before = here.run("git", "status", "--porcelain").stdout
    source = plan.source(here.root)
    listed = here.run("git", "diff", "--name-status", source.head, source.tree).stdout.split()
    assert listed == ["D", "dvc.yaml", "A", "models/new.py", "M", "models/torch_mlp.py"]
    assert here.run("git", "status", "--porcelain").stdout == before
    assert not here.run("git", "stash", "list").stdout


def test_without_a_commit_there_is_no_source(tmp_path: Path) -> None:
    Project(tmp_path).run("git", "init", "--quiet")
    with pytest.raises(CannotRun, match="found no commit, which experiments are based on"):
        plan.source(tmp_path)
