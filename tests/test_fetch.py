"""Real DVC: a repository with an artifact, a remote, and a clone with an empty cache."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.config.yaml_text import dump_yaml
from pipeline.resolve import dvc as resolve_dvc
from testing.project import ROOT, Project

CODE = {"name": "git", "digest": {"gitCommit": "0123abcd" * 5}, "annotations": {}}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that has the remote and nothing else; beside it `artifact`, what was pushed."""
    folder = tmp_path_factory.mktemp("fetch")
    first, artifact = Project(folder / "first"), folder / "artifact"
    (artifact / "lineage").mkdir(parents=True)
    (artifact / "model.pt2").write_text("weights")
    (artifact / "lineage/train.json").write_text("{}")
    provenance.write(artifact, provenance.build_definition("export-complete", {}, [], CODE))
    first.root.mkdir()
    shutil.copytree(artifact, first.root / "artifact")
    first.run("git", "init", "--quiet")
    first.run("dvc", "init", "--quiet")
    first.run("dvc", "remote", "add", "--default", "team", str(folder / "remote"))
    first.run("dvc", "add", "--quiet", "artifact")
    first.run("dvc", "push", "--quiet")
    out = {"path": "artifact", "md5": resolve_dvc.md5_of(artifact)}
    lock = {"schema": "2.0", "stages": {"export-complete": {"cmd": "made", "outs": [out]}}}
    (first.root / "dvc.lock").write_text(dump_yaml(lock))
    for setting in ("user.name", "user.email"):
        first.run("git", "config", setting, "tester@example.org")
    first.run("git", "add", "--all")
    first.run("git", "commit", "--quiet", "--message", "made")
    shutil.copytree(
        first.root, folder / "second", ignore=shutil.ignore_patterns("cache", "artifact")
    )
    return folder / "second"


def fetch(root: Path, md5: str, directory: Path):
    command = ("python", "-m", "pipeline.fetch", md5, str(directory))
    return Project(root).run(*command, check=False, PYTHONPATH=str(ROOT))


def test_what_a_run_names_comes_from_the_remote(pushed: Path, tmp_path: Path) -> None:
    artifact = pushed.parent / "artifact"
    md5 = resolve_dvc.md5_of(artifact)
    for given in (md5, md5.removesuffix(".dir")):
        done = fetch(pushed, given, tmp_path / given)
        assert done.returncode == 0, done.stdout
        assert provenance.digest(artifact) in done.stdout
        assert provenance.faults(tmp_path / given) == []
        (tmp_path / given / "model.pt2").write_text("mine to change, and not DVC's object")
    again = fetch(pushed, md5, tmp_path / md5)
    assert again.returncode == 1 and "is there already" in again.stdout


def test_what_nobody_pushed_is_told_in_one_line(pushed: Path, tmp_path: Path) -> None:
    for given, code, said in (("0" * 32, 2, "dvc push"), ("nothing", 1, "no such file")):
        done = fetch(pushed, given, tmp_path / "there")
        assert done.returncode == code and said in done.stdout.splitlines()[-1]
        assert done.stdout.splitlines()[-1].startswith("error: fetch: ")
        assert not (tmp_path / "there").exists()


def test_a_rotten_object_is_not_fetched(pushed: Path, tmp_path: Path) -> None:
    md5 = resolve_dvc.md5_of(pushed.parent / "artifact")
    assert fetch(pushed, md5, tmp_path / "sound").returncode == 0
    held = resolve_dvc.listing(pushed, md5)["model.pt2"]
    held.chmod(0o644)
    held.write_text("weighed")
    done = fetch(pushed, md5, tmp_path / "there")
    assert done.returncode == 1 and "model.pt2" in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "sound"]


@pytest.fixture
def clone(pushed: Path, tmp_path: Path) -> Path:
    """With an empty cache: what another test fetched or spoiled is not of use here."""
    ignored = shutil.ignore_patterns("cache")
    return Path(shutil.copytree(pushed, tmp_path / "clone", ignore=ignored))


def test_a_revision_names_what_its_lock_has_and_it_comes_from_the_remote(
    pushed: Path, clone: Path, tmp_path: Path
) -> None:
    done = fetch(clone, "HEAD", tmp_path / "model")
    assert done.returncode == 0, done.stdout
    assert provenance.digest(tmp_path / "model") == provenance.digest(pushed.parent / "artifact")


def test_a_directory_a_file_in_it_and_a_digest_name_it_too(
    pushed: Path, clone: Path, tmp_path: Path
) -> None:
    artifact = pushed.parent / "artifact"
    for index, given in enumerate((artifact, artifact / "model.pt2")):
        done = fetch(clone, str(given), tmp_path / str(index))
        assert done.returncode == 0, done.stdout
        assert provenance.faults(tmp_path / str(index)) == []
    assert fetch(clone, resolve_dvc.md5_of(artifact), tmp_path / "cached").returncode == 0
    done = fetch(clone, provenance.digest(artifact)[:12], tmp_path / "by digest")
    assert done.returncode == 0, done.stdout


def test_a_run_names_its_complete_model(pushed: Path, clone: Path, tmp_path: Path) -> None:
    """As a run that was logged by reference has it, in the tables that MLflow makes."""
    md5, run = resolve_dvc.md5_of(pushed.parent / "artifact"), "a" * 32
    with contextlib.closing(sqlite3.connect(clone / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE runs (run_uuid TEXT)")
        store.execute("CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT)")
        store.execute("CREATE TABLE logged_models (model_id TEXT, source_run_id TEXT)")
        store.execute("INSERT INTO runs VALUES (?)", [run])
        store.execute("INSERT INTO tags VALUES (?, 'dvc.md5', ?)", [run, md5])
    done = fetch(clone, run, tmp_path / "model")
    assert done.returncode == 0, done.stdout
    assert provenance.faults(tmp_path / "model") == []
