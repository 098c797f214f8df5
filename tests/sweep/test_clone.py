"""A clone has the files as they lay, DVC's cache and settings; what ran in it comes back."""

import json
from pathlib import Path

import pytest

from pipeline.provenance import git
from pipeline.sweep import clone, dvc_in_clone, finished, plan
from testing.project import Project
from testing.sweeps import experiments, make_quick

NAME = "lr0.1-01234567"
DVC = ("python", "-m", "pipeline.sweep.dvc_in_clone")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With what a user may have done and not committed."""
    project = make_quick(tmp_path_factory.mktemp("edited") / "project")
    (project.root / "raw.csv").write_text("a,b\n1,2\n")
    project.run("dvc", "add", "raw.csv")
    project.run("dvc", "remote", "add", "--local", "away", "/nowhere")
    project.run("git", "add", "raw.csv.dvc")
    (project.root / "work.py").open("a").write("# changed\n")
    (project.root / "loops/plain.toml").unlink(missing_ok=True)
    (project.root / "log.py").rename(project.root / "report.py")
    return project


def test_a_clone_is_the_work_tree_and_its_run_an_experiment(
    edited: Project, tmp_path: Path
) -> None:
    before = edited.run("git", "status", "--porcelain").stdout
    source = plan.source(edited.root)
    place = tmp_path / "clone"
    clone.make(source, place)
    copy = Project(place)
    assert copy.read("work.py").endswith("# changed\n")
    assert not (place / "log.py").exists() and not (place / "report.py").exists()
    assert copy.run("git", "rev-parse", "HEAD").stdout.strip() == source.head
    assert "/nowhere" in copy.run("dvc", "remote", "list").stdout
    assert not (place / "raw.csv").exists()
    cache = copy.run(*DVC, "cache", "dir").stdout.strip()
    assert copy.read("raw.csv") == "a,b\n1,2\n"
    assert Path(cache) == edited.root / ".dvc/cache"

    (place / "dvc.yaml").write_text(copy.read("dvc.yaml").replace("log.py", "work.py"))
    (place / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (place / "left").touch()
    clone.bring_back(source, place, NAME)
    assert not place.exists()
    assert experiments(edited).keys() == {NAME}
    saved = git.file_at(edited.root, experiments(edited)[NAME], "work.py")
    assert saved is not None and saved.endswith(b"# changed\n")
    changes = edited.run("git", "diff", "--name-status", source.tree, experiments(edited)[NAME])
    assert changes.stdout.split() == ["A", "dvc.lock", "M", "dvc.yaml"]
    assert NAME in edited.run("dvc", "exp", "list").stdout
    assert edited.run("git", "status", "--porcelain").stdout == before
    assert finished.find(edited.root, NAME) is None  # nothing ran in it


def test_a_clone_that_was_cut_short_is_made_anew_and_a_whole_one_stays(
    edited: Project, tmp_path: Path
) -> None:
    source, place = plan.source(edited.root), tmp_path / "clone"
    place.mkdir()
    (place / "half").touch()
    clone.make(source, place)
    assert not (place / "half").exists()
    copy = Project(place)
    copy.run(*DVC, "status")
    (place / "raw.csv").write_text("half done\n")
    (place / ".dvc/tmp/rwlock").touch()  # as a DVC that was killed at that moment leaves it
    clone.make(source, place)
    copy.run(*DVC, "repro", "checkpoint")
    assert copy.read("raw.csv") == "half done\n"


def test_what_dvc_refuses_is_said_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / clone.LACKS).parent.mkdir()
    (tmp_path / clone.LACKS).touch()
    assert dvc_in_clone.main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: dvc checkout: you are not inside of a DVC repository")
    assert said.count("\n") == 1 and (tmp_path / clone.LACKS).exists()


def test_a_run_that_dvcs_cache_has_lost_is_not_finished(edited: Project, tmp_path: Path) -> None:
    listed = {"relpath": "metrics.json", "md5": "1" * 32}
    stages = {
        "checkpoint": {"cmd": "x", "outs": [{"path": "c", "md5": f"{'2' * 32}.dir"}]},
        "log-to-mlflow": {"cmd": "y", "outs": [{"path": "r", "md5": "3" * 32}]},
    }
    root = tmp_path / "project"
    project = Project(root)
    root.mkdir()
    project.run("git", "init", "--quiet")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
    (root / "params.yaml").write_text("checkpoint: {metric: val/loss}\n")
    commit = project.commit()
    project.run("git", "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/a-01234567", commit)
    cache = root / ".dvc/cache/files/md5"
    contents = {"1" * 32: {"val/loss": 0.5}, f"{'2' * 32}.dir": [listed], "3" * 32: {"run_id": "r"}}
    for md5, content in contents.items():
        assert finished.find(root, "a-01234567") is None
        path = cache / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    run = finished.find(root, "b-01234567")
    expected = {"experiment": "a-01234567", "objective": 0.5, "run_id": "r", "history": None}
    assert run == finished.Run(**expected)
    assert finished.find(root, "a-01234568") is None
