"""The project knows its stages' names and its repository's root."""

import subprocess
from pathlib import Path

import pytest

from pipeline import project
from pipeline.config.yaml_text import load_yaml


def test_the_stages_are_those_of_dvc_yaml() -> None:
    entries = load_yaml((project.ROOT / "dvc.yaml").read_text(), "dvc.yaml")["stages"]
    assert tuple(entries) == project.STAGES


def test_the_repository_is_the_folder_above_with_git_or_dvc(tmp_path, monkeypatch) -> None:
    (tmp_path / "repository/.dvc").mkdir(parents=True)
    below = tmp_path / "repository/a/b"
    below.mkdir(parents=True)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(below)
    assert project.repository() == tmp_path / "repository"


def test_the_repository_is_dvcs_in_a_copy_that_an_experiment_runs_in(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert project.repository() == tmp_path == Path(project.repository()).resolve()


def test_a_file_that_git_does_not_track_is_told_in_an_experiments_copy_alone(tmp_path, monkeypatch):
    repository, copy = tmp_path / "repository", tmp_path / "copy"
    for folder in (repository / "models", copy):
        folder.mkdir(parents=True)
    (repository / "models/mine.py").write_text("")
    path = Path("models/mine.py")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.chdir(copy)
    assert "`git add models/mine.py`" in project.untracked(path)
    assert project.untracked(Path("models/other.py")) == ""
    monkeypatch.chdir(repository)
    assert project.untracked(path) == ""


def test_outside_of_git_the_command_that_helps_is_said(tmp_path, monkeypatch) -> None:
    from pipeline import __main__
    from pipeline.errors import CannotRun

    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    with pytest.raises(CannotRun, match="no git repository, .* run `git init && git add --all"):
        __main__.demand_repository()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    __main__.demand_repository()
