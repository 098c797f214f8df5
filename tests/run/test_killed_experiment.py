"""Who runs something after a killed `dvc exp run` is told how to get back to the branch.

The killed runs themselves are in faults/exp_killed.py; here git's states after them are made.
"""

import os
import time
from pathlib import Path

import pytest

from pipeline.run import killed_experiment
from testing.project import Project

MERGED = "refs/exps/exec/EXEC_MERGE"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two commits on main, and a trace of DVC's experiments."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    project = Project(tmp_path)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    for content in ("first", "second"):
        (tmp_path / "file").write_text(content)
        project.commit(content)
    project.run("git", "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    return project


def detach(project: Project) -> str:
    """As DVC does."""
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.run("git", "checkout", "--quiet", commit)
    return commit


def restore(project: Project, commit: str) -> None:
    """As DVC does when it began without a branch."""
    before = project.run("git", "rev-parse", "HEAD").stdout.strip()
    who = "A Tester <tester@example.org> 1795375740 +0000"
    with (project.root / ".git/logs/HEAD").open("a") as log:
        log.write(f"{before} {commit} {who}\tdvc: Restore HEAD to '{commit}'\n")


def test_nothing_is_said_on_a_branch(project: Project, capfd) -> None:
    killed_experiment.warn()
    assert capfd.readouterr() == ("", "")


def test_the_way_back_and_the_edits_are_named_and_lead_there(project: Project, capfd) -> None:
    (project.root / "file").write_text("edited")
    project.run("git", "stash", "--quiet")
    stash = project.run("git", "rev-parse", "refs/stash").stdout.strip()
    project.run("git", "update-ref", MERGED, stash)
    project.run("git", "stash", "drop", "--quiet")
    detach(project)
    killed_experiment.warn()
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    for command in ("git symbolic-ref HEAD refs/heads/main", f"git stash apply {stash}"):
        assert f"`{command}`" in said
        project.run(*command.split())
    assert project.read("file") == "edited"
    assert killed_experiment.branch_left() is None


def test_edits_that_dvc_had_only_put_aside_are_named_first(project: Project, capfd) -> None:
    (project.root / "file").write_text("edited")
    project.run("git", "stash", "--quiet")
    detach(project)
    killed_experiment.warn()
    stash = project.run("git", "rev-parse", "refs/stash").stdout.strip()
    assert f"`git stash apply {stash}`" in capfd.readouterr().err


def test_a_stash_of_another_commit_is_not_offered(project: Project, capfd) -> None:
    (project.root / "file").write_text("edited")
    project.run("git", "stash", "--quiet")
    (project.root / "file").write_text("third")
    project.commit("third")
    detach(project)
    killed_experiment.warn()
    said = capfd.readouterr().err
    assert "symbolic-ref" in said and "stash" not in said


def test_a_running_experiment_is_not_taken_for_a_killed_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = project.root / ".git" / MERGED
    project.run("git", "update-ref", MERGED, "HEAD")
    detach(project)
    monkeypatch.setenv("DVC_EXP_NAME", "mine")
    monkeypatch.setenv("DVC_ROOT", os.fspath(project.root))
    assert killed_experiment.branch_left() is None
    later = time.time() + 2  # the second one begins where the killed one left HEAD
    os.utime(written, (later, later))
    assert killed_experiment.branch_left() == "main"


def test_it_is_still_said_after_another_experiment(project: Project) -> None:
    restore(project, detach(project))
    assert killed_experiment.branch_left() == "main"


@pytest.mark.parametrize("rev", ["main~1", "--detach"])
def test_who_left_the_branch_on_purpose_is_told_nothing(project: Project, rev: str) -> None:
    project.run("git", "checkout", "--quiet", rev)
    assert killed_experiment.branch_left() is None


def test_without_experiments_a_commit_by_its_full_name_is_on_purpose(project: Project) -> None:
    project.run("git", "update-ref", "-d", "refs/exps/exec/EXEC_HEAD")
    detach(project)
    assert killed_experiment.branch_left() is None


def test_a_copy_for_a_queued_experiment_is_none_of_its_business(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory
) -> None:
    detach(project)
    monkeypatch.setenv("DVC_ROOT", os.fspath(tmp_path_factory.mktemp("real")))
    assert killed_experiment.branch_left() is None


def test_without_git_nothing_is_said(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    killed_experiment.warn()
    assert capfd.readouterr() == ("", "")
