"""The project knows its stages' names and its repository's root."""

from pathlib import Path

from pipeline import project
from pipeline.config.reading import load_yaml


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
