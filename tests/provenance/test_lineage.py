"""A statement is true in every way people work: its commit and patch are the very code that ran.

With real git and DVC; `prepare` stands for the other stages, which are told the same. Commits are
looked for in a clone, since others have no more than that.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import PipelineError
from pipeline.provenance import lineage, statement
from testing.project import TINY, Project, make_project

DATA = "artifacts/data"
PREPARE = ("dvc", "repro", "prepare")
EXPERIMENT = ("dvc", "exp", "run")
OTHER_SEED = ("-S", "data.split.seed=7")


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Project:
    """The stages compose and prepare, after `dvc repro`, with dvc.lock in the commit. Of params as
    conf/ has them an experiment changes the one value that it sets, behind which no option of
    conf/ is looked for."""
    project = make_project(tmp_path_factory.mktemp("start") / "project")
    stages = load_yaml(project.read("dvc.yaml"), "dvc.yaml")["stages"]
    few = {"stages": {name: stages[name] for name in ("compose", "prepare")}}
    (project.root / "dvc.yaml").write_text(dump_yaml(few))
    project.commit()
    project.run(*PREPARE)
    project.commit("prepared")
    return project


@pytest.fixture
def project(start, tmp_path) -> Project:
    return start.copied(tmp_path / "project")


def clone(project: Project, to: Path, *options: str) -> Project:
    project.run("git", "clone", "--quiet", *options, project.root.as_uri(), str(to))
    return Project(to)


def soil(project: Project) -> None:
    """A changed, a new and a deleted source file, and what else a run may read."""
    columns = project.root / "pipeline/data/columns.py"
    columns.write_text(columns.read_text() + "# changed\n")
    (project.root / "pipeline/data/tables/npz.py").unlink()
    (project.root / "pipeline/data/tables/ein neues für.py").write_text("NEW = 1\n")
    (project.root / "pipeline/data/tables/lookup.bin").write_bytes(bytes(range(256)))
    (project.root / "pipeline/data/tables/ignored.py").write_text("IGNORED = 1\n")
    with (project.root / ".git/info/exclude").open("a") as exclude:
        exclude.write("ignored.py\n")


def made(project: Project) -> lineage.Node:
    """The data's statement, which fits the bytes."""
    assert provenance.faults(project.root / DATA) == []
    return lineage.node(project.root / DATA / provenance.NAME)


def told(node: lineage.Node) -> dict[str, str]:
    """Source file -> sha256, as the statement tells what ran."""
    found: dict[str, str] = {}
    for dep in node.definition["resolvedDependencies"]:
        inner = dep.get("annotations", {}).get("files", {"": dep["digest"].get("sha256")})
        found |= {f"{dep['name']}/{name}".rstrip("/"): sha for name, sha in inner.items()}
    return {name: sha for name, sha in found.items() if name.startswith("pipeline/")}


def demand_rebuilt(project: Project, to: Path, source: Project | None = None) -> lineage.Node:
    """A clone at the statement's commit with the patch applied holds the very files that ran."""
    node = made(project)
    other = clone(source or project, to)
    other.run("git", "checkout", "--quiet", str(node.commit))
    patch = project.root / DATA / provenance.PATCH
    assert patch.is_file() == (node.patch is not None)
    if node.patch:
        assert provenance.digest(patch) == node.patch
        other.run("git", "apply", str(patch))
    ran = told(node)
    assert "pipeline/data/columns.py" in ran and "pipeline/data/tables/csv.py" in ran
    assert {name: provenance.digest(other.root / name) for name in ran} == ran
    listed = {
        p.relative_to(other.root).as_posix() for p in other.root.glob("pipeline/data/tables/*")
    }
    assert {name for name in ran if name.startswith("pipeline/data/tables/")} == listed
    return node


def head(project: Project) -> str:
    return project.run("git", "rev-parse", "HEAD").stdout.strip()


def experiments(project: Project) -> list[str]:
    return project.run("dvc", "exp", "list", "--name-only").stdout.split()


def test_a_clean_commit_is_named_by_itself(project, tmp_path):
    node = demand_rebuilt(project, tmp_path / "clone")
    assert node.patch is None
    parent = project.run("git", "rev-parse", "HEAD^").stdout.strip()
    assert node.commit == parent, "the commit of dvc.lock comes after the run"


def test_a_dirty_tree_is_its_commit_and_a_patch_that_makes_the_same_files(project, tmp_path):
    soil(project)
    project.run(*PREPARE)
    node = demand_rebuilt(project, tmp_path / "clone")
    assert node.patch and node.commit == head(project)
    patch = (project.root / DATA / provenance.PATCH).read_bytes()
    tables = "pipeline/data/tables"
    assert set(provenance.patched(patch)) == {
        "pipeline/data/columns.py",
        *(f"{tables}/npz.py", f"{tables}/ein neues für.py", f"{tables}/lookup.bin"),
        f"{tables}/ignored.py",
    }


def test_the_patch_is_the_same_whatever_git_is_set_to(project, monkeypatch, tmp_path):
    soil(project)
    expected = provenance.code(project.root)
    config = tmp_path / "gitconfig"
    config.write_text(
        "[diff]\n noprefix = true\n context = 9\n algorithm = histogram\n external = false\n"
        " suppressBlankEmpty = true\n renames = copies\n mnemonicPrefix = true\n"
        "[core]\n abbrev = 40\n quotePath = true\n[color]\n ui = always\n"
        "[status]\n showUntrackedFiles = no\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert provenance.code(project.root) == expected


def test_the_patch_of_a_folder_of_a_repository_makes_the_same_files(project, tmp_path):
    """The pipeline may lie in a folder of a larger repository."""
    outer = tmp_path / "outer"
    shutil.copytree(project.root, outer / "ml", ignore=shutil.ignore_patterns(".git"))
    larger = Project(outer)
    larger.run("git", "init", "--quiet")
    larger.run("git", "config", "user.email", "tester@example.org")
    larger.run("git", "config", "user.name", "A Tester")
    larger.commit()
    (outer / "ml/pipeline/data/columns.py").write_text("CHANGED = 1\n")
    (outer / "ml/pipeline/new.py").write_text("NEW = 1\n")
    (outer / "ml/data/digits.csv").write_text("label\n")
    code, patch = provenance.code(outer / "ml")
    assert code["digest"]["gitCommit"] == head(larger)
    assert provenance.patched(patch) == ["ml/pipeline/data/columns.py", "ml/pipeline/new.py"]


def test_a_detached_head_is_a_commit_like_any_other(project, tmp_path):
    project.run("git", "checkout", "--quiet", "--detach")
    project.run("dvc", "repro", "--force", "prepare")
    node = demand_rebuilt(project, tmp_path / "clone")
    assert (node.commit, node.patch) == (head(project), None)


def test_an_experiment_names_the_baseline_and_what_was_changed_in_it(project, tmp_path):
    baseline = head(project)
    soil(project)
    project.run(*EXPERIMENT, *OTHER_SEED, "prepare")
    node = demand_rebuilt(project, tmp_path / "clone")
    assert node.commit == baseline and node.patch
    assert node.params["data"]["split"]["seed"] == 7


def test_an_experiment_without_changes_in_code_is_its_baseline(project, tmp_path):
    project.run(*EXPERIMENT, *OTHER_SEED, "prepare")
    node = demand_rebuilt(project, tmp_path / "clone")
    assert (node.commit, node.patch) == (head(project), None)


def test_an_experiment_in_a_copy_names_a_commit_that_others_have(project, tmp_path):
    baseline = head(project)
    soil(project)
    project.run("git", "add", "pipeline")  # what git is not told of is not in DVC's copy
    project.run(*EXPERIMENT, "--temp", *OTHER_SEED, "prepare")
    (name,) = experiments(project)
    project.run("dvc", "exp", "apply", name)
    node = demand_rebuilt(project, tmp_path / "clone")
    assert node.commit == baseline and node.patch
    assert "pipeline/data/tables/ein neues für.py" in told(node)
    assert "pipeline/data/tables/npz.py" not in told(node)


def test_queued_experiments_applied_or_made_a_branch_tell_what_ran(project, tmp_path):
    baseline = head(project)
    soil(project)
    project.run("git", "add", "pipeline")
    sweep = ("--queue", "-S", "data.split.seed=7,8", "prepare")
    project.run(*EXPERIMENT, *sweep)
    project.run("git", "stash", "--quiet")  # the tree may move on while they wait
    project.run("dvc", "exp", "run", "--run-all", "--jobs", "1")
    project.run("git", "checkout", "--quiet", ".")
    first, second = experiments(project)
    shown = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    found = [each for row in shown for each in row["experiments"] or []]
    params = [each["revs"][0]["data"]["params"]["params.yaml"]["data"] for each in found]
    assert sorted(each["data"]["split"]["seed"] for each in params) == [7, 8]

    project.run("dvc", "exp", "apply", first)
    applied = demand_rebuilt(project, tmp_path / "applied")
    project.run("git", "stash", "--quiet", "--include-untracked")
    project.run("dvc", "exp", "branch", second, "kept")
    project.run("git", "checkout", "--quiet", "kept")
    project.run("dvc", "checkout", DATA)
    kept = demand_rebuilt(project, tmp_path / "kept")

    assert {node.params["data"]["split"]["seed"] for node in (applied, kept)} == {7, 8}
    assert {node.commit for node in (applied, kept)} == {baseline}
    assert applied.patch == kept.patch is not None


def test_what_is_not_made_again_keeps_the_commit_that_made_it(project, tmp_path):
    """A rebase leaves that commit to this repository alone, and to it only until it is cleaned."""
    project.run("git", "commit", "--quiet", "--amend", "--message", "rewritten")
    (project.root / "README.txt").write_text("more\n")
    project.commit()
    project.run("dvc", "repro", "--force", "prepare")
    before = made(project)
    project.run("git", "commit", "--quiet", "--amend", "--message", "rebased")
    said = project.run(*PREPARE).stdout
    assert "Running stage" not in said
    assert made(project).digest == before.digest
    assert before.commit != head(project)
    present = ("git", "cat-file", "-e", str(before.commit))
    assert project.run(*present, check=False).returncode == 0
    assert clone(project, tmp_path / "clone").run(*present, check=False).returncode != 0
    project.run("git", "reflog", "expire", "--expire=now", "--all")
    project.run("git", "gc", "--quiet", "--prune=now")
    assert project.run(*present, check=False).returncode != 0


def test_a_shallow_clone_and_a_moved_repository_make_the_same_statement(project, tmp_path):
    project.run("dvc", "repro", "--force", "prepare")
    before = (project.root / DATA / provenance.NAME).read_bytes()
    shallow = clone(project, tmp_path / "shallow", "--depth=1")
    assert shallow.run("git", "rev-parse", "--is-shallow-repository").stdout == "true\n"
    moved = Project(project.root.rename(tmp_path / "umbenannt und verschoben"))
    for other in (shallow, moved):
        other.run("dvc", "repro", "--force", "prepare")
        assert (other.root / DATA / provenance.NAME).read_bytes() == before


def test_outside_git_the_statement_says_so(project, tmp_path):
    shutil.rmtree(project.root / ".git")
    project.run("dvc", "config", "core.no_scm", "true")
    project.run("dvc", "repro", "--force", "prepare")
    node = made(project)
    assert (node.commit, node.patch) == (None, None)
    assert "pipeline/data/tables/csv.py" in told(node)


def test_a_repository_without_a_commit_says_so(project):
    shutil.rmtree(project.root / ".git")
    project.run("git", "init", "--quiet")
    assert provenance.code(project.root)[0]["digest"] == {"gitCommit": None}


def test_a_repository_that_git_cannot_read_is_no_tree_outside_git(project, monkeypatch):
    with monkeypatch.context() as another_user:
        another_user.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        another_user.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        another_user.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        with pytest.raises(PipelineError, match="dubious ownership") as caught:
            provenance.code(project.root)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PipelineError, match="there is no git; install it"):
        provenance.code(project.root)


def test_a_broken_repository_does_not_pass_for_a_clean_tree(project):
    (project.root / "pipeline/data/columns.py").write_text("COMMITTED = 1\n")
    project.commit()
    blob = project.run("git", "rev-parse", "HEAD:pipeline/data/columns.py").stdout.strip()
    (project.root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    (project.root / "pipeline/data/columns.py").write_text("CHANGED = 1\n")
    with pytest.raises(PipelineError, match="git diff"):
        provenance.code(project.root)


def test_the_data_are_the_same_in_git_under_dvc_and_back_from_a_remote(project, tmp_path):
    raw = provenance.digest(project.root / "data/digits.csv")
    in_git = data_of(project)
    assert in_git["annotations"]["files"]["digits.csv"] == raw
    project.run("git", "rm", "--quiet", "--cached", "data/digits.csv")
    project.run("dvc", "add", "--quiet", "data/digits.csv")
    project.commit("data under DVC")
    assert data_of(project) == in_git

    project.run("dvc", "remote", "add", "--default", "near", str(tmp_path / "remote"))
    project.run("dvc", "push", "--quiet", "data/digits.csv")
    shutil.rmtree(project.root / ".dvc/cache")
    (project.root / "data/digits.csv").unlink()
    project.run("dvc", "pull", "--quiet", "data/digits.csv")
    assert data_of(project) == in_git

    with (project.root / "data/digits.csv").open("a") as file:
        file.write(project.read("data/digits.csv").splitlines()[-1] + "\n")
    assert data_of(project)["digest"] != in_git["digest"]


def data_of(project: Project) -> dict:
    project.run("dvc", "repro", "--force", "prepare")
    deps = made(project).definition["resolvedDependencies"]
    return next(dep for dep in deps if dep["name"] == "data")


def test_a_directory_of_many_files_is_named_by_its_digest_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(statement, "LISTED", 2)
    folder = tmp_path / "images"
    folder.mkdir()
    code = {"name": "git", "digest": {"gitCommit": None}}

    def named() -> dict:
        found = provenance.build_definition("prepare", {}, ["images"], code)
        return found["resolvedDependencies"][1]

    for name in ("a", "b"):
        (folder / name).write_text(name)
    assert list(named()["annotations"]["files"]) == ["a", "b"]
    (folder / "c").write_text("c")
    assert named() == {"name": "images", "digest": {"sha256": provenance.digest(folder)}}


@pytest.fixture
def strict(trained, tmp_path) -> Callable[..., tuple[int, str]]:
    """export-complete with lineage.strict, of a tiny checkpoint."""

    def export(spoil: Callable[[Project], None]) -> tuple[int, str]:
        copy = trained.copied(tmp_path / "strict")
        copy.params(*TINY, "lineage.strict=true")
        spoil(copy)
        done = copy.stage("export-complete", check=False)
        return done.returncode, done.stdout

    return export


def test_strict_exports_what_commits_alone_name(strict):
    code, said = strict(lambda project: None)
    assert code == 0, said


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (soil, "changes in pipeline/data/columns.py, "),
        (lambda project: shutil.rmtree(project.root / ".git"), "none at all; commit it"),
    ],
    ids=["dirty", "no git"],
)
def test_strict_refuses_in_one_line_before_any_work(strict, spoil, found):
    code, said = strict(spoil)
    assert code == 1
    wanted = (
        "error: export-complete: lineage.strict: expected code that a commit alone names, found"
    )
    assert said.startswith(f"{wanted} {found}") and said.count("\n") == 1
    assert said.rstrip().endswith("or set lineage.strict=false")


def test_strict_refuses_what_an_earlier_stage_made_of_a_dirty_tree(strict):
    def train_from_a_dirty_tree(project: Project) -> None:
        (project.root / "models/new.py").write_text("NEW = 1\n")
        project.stage("checkpoint")
        project.commit("too late")

    code, said = strict(train_from_a_dirty_tree)
    assert code == 1
    assert "found a checkpoint (" in said and "run `dvc repro --force checkpoint`" in said


def test_an_experiment_in_a_copy_tells_mlflow_where_it_came_from(tmp_path):
    """All of the pipeline, from a dirty tree: commit, patch and DVC's name stand in the run."""
    project = make_project(tmp_path / "project")
    project.params(*TINY, "verify.checks=[integrity]")
    project.commit()
    columns = project.root / "pipeline/data/columns.py"
    columns.write_text(columns.read_text() + "# changed\n")
    overrides = [part for each in (*TINY[1:], "train.lr=0.01") for part in ("-S", each)]
    project.run(*EXPERIMENT, "--temp", "--name", "my-experiment", *overrides)
    with sqlite3.connect(project.root / "mlflow.db") as database:
        tags = dict(database.execute("select key, value from tags"))
    project.run("dvc", "exp", "apply", "my-experiment")
    model = lineage.node(project.root / "artifacts/complete-model" / provenance.NAME)
    assert json.loads(project.read("reports/mlflow.json"))["complete_model"] == model.digest
    assert tags["provenance.complete-model"] == model.digest
    assert tags["git.commit"] == head(project) == model.commit
    assert tags["git.patch"] == model.patch is not None
    assert tags["dvc.exp.name"] == "my-experiment"
