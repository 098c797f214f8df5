"""A trace compares every claim with the bytes at hand, and says which are contradicted."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.provenance.lineage import Node
from pipeline.trace.environment import differences
from pipeline.trace.text import as_text
from testing.project import make_project
from testing.streaming import streaming
from testing.traced import Traced, modules, traced
from tests.test_resume import WRITE_PARAMS

MODEL = "artifacts/complete-model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Read it; `copy` is for changing."""
    return traced(tmp_path_factory)


@pytest.fixture
def copy(whole: Traced, tmp_path: Path) -> Traced:
    return whole.copied(tmp_path / "copy")


# A run as it lies ------------------------------------------------------------------------------


def test_nothing_is_missing_or_contradicted_where_it_was_made(whole: Traced) -> None:
    told = whole.trace()
    assert told["counts"]["missing"] == told["counts"]["contradicted"] == 0
    assert [n["kind"] for n in told["nodes"]] == [
        *("complete model", "checkpoint", "training", "data")
    ]
    claims = {check["claim"] for node in told["nodes"] for check in node["checks"]}
    assert claims == {
        *("statement", "files", "made from", "raw data", "code", "code files", "environment"),
        *("dvc.lock", "MLflow"),
    }


def test_the_command_prints_a_page_of_a_hundred_columns_and_ends_with_0(whole: Traced) -> None:
    logged = whole.command(whole.report["run_id"])
    done = whole.command(MODEL)
    assert done.returncode == logged.returncode == 0
    for line in (done.stdout + logged.stdout).splitlines():
        assert len(line) <= 100 and "\033" not in line
    for told in (
        whole.digest,
        "commit ",
        '"two epochs", on branch main',
        "train.epochs=2",
        "model.optimizer=torch.optim.Adam(lr=0.001)",
        whole.report["run_id"],
        "registered as digits version",
        "└─ raw data in data",
    ):
        assert told in done.stdout, told


def test_json_is_the_same_for_programs(whole: Traced) -> None:
    done = whole.command(MODEL, "--json")
    told = json.loads(done.stdout)
    assert set(told) == {
        *("what", "kind", "digest", "file", "run", "revision", "root", "counts", "nodes")
    }
    first = told["nodes"][0]
    assert set(first) == {
        *("kind", "digest", "stage", "path", "place", "in_dvc_cache", "parent", "made_from"),
        *("params", "code", "environment", "files", "checks"),
    }
    assert set(first["checks"][0]) == {"claim", "verdict", "text", "todo"}
    statement = provenance.read(whole.model)
    definition = statement["predicate"]["buildDefinition"]
    assert first["params"] == definition["externalParameters"]["params"]
    assert first["environment"] == definition["internalParameters"]
    assert len(first["files"]) == len(statement["subject"])


def test_no_framework_no_mlflow_and_no_dvc_is_loaded(whole: Traced) -> None:
    run = whole.report["run_id"]
    for arguments in ((MODEL,), ("quick", "--json"), (run,), (whole.digest[:8],)):
        heavy = {"torch", "tensorflow", "keras", "numpy", "mlflow", "dvc", "hydra", "yaml"}
        assert modules(whole, *arguments) & heavy == set()


def test_nothing_is_written(copy: Traced) -> None:
    before = {p: p.stat().st_mtime_ns for p in copy.root.rglob("*") if "__pycache__" not in str(p)}
    (copy.root / "models/torch_mlp.py").touch()
    before[copy.root / "models/torch_mlp.py"] = (
        (copy.root / "models/torch_mlp.py").stat().st_mtime_ns
    )
    copy.command(MODEL, PYTHONDONTWRITEBYTECODE="1")
    after = {p: p.stat().st_mtime_ns for p in copy.root.rglob("*") if "__pycache__" not in str(p)}
    assert before == after


def test_what_cannot_be_resolved_ends_with_2_and_one_line(whole: Traced) -> None:
    done = whole.command("nowhere")
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("error: trace: nowhere: no such file or directory")


def test_a_files_name_is_told(whole: Traced) -> None:
    done = whole.command(f"{MODEL}/model.pt2")
    first = " ".join(done.stdout.split("\n\n")[0].split())
    assert "is the file model.pt2 of a complete model of torch_mlp (pytorch)." in first


# Bytes that are not what is claimed ------------------------------------------------------------


def contradicted(project: Traced, what: str | Path = MODEL) -> list[tuple[str, str, str]]:
    found = project.checks("contradicted", what)
    done = project.command(str(what))
    assert done.returncode == (1 if found else 0), done.stdout
    assert ("CONTRADICTED" in done.stdout) == bool(found)
    return found


@pytest.mark.parametrize(
    ("directory", "file", "kind"),
    [
        ("complete-model", "model.pt2", "complete model"),
        ("checkpoint", "checkpoint.pt", "checkpoint"),
        ("train", "epoch_0001.pt", "training"),
        ("data", "train/targets/label.npy", "data"),
    ],
)
def test_a_flipped_bit_is_a_contradiction_of_its_file(
    copy: Traced, directory: str, file: str, kind: str
) -> None:
    path = copy.root / "artifacts" / directory / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    found = contradicted(copy)
    assert [(k, c) for k, c, _ in found] == [(kind, "files"), (kind, "dvc.lock")]
    assert found[0][2].startswith(f"{file} was changed: its sha256 is ")


def test_a_file_that_was_added_is_a_contradiction(copy: Traced) -> None:
    (copy.model / "sitecustomize.py").write_text("print('hello')\n")
    found = contradicted(copy)
    assert [(k, c) for k, c, _ in found] == [
        *(("complete model", "files"), ("complete model", "dvc.lock"))
    ]
    assert "sitecustomize.py: not in the statement" in found[0][2]


def test_a_file_that_was_removed_is_missing(copy: Traced) -> None:
    (copy.model / "optimizer.pt").unlink()
    missing = copy.checks("missing")
    assert [(k, c) for k, c, _ in missing] == [("complete model", "files")]
    assert missing[0][2] == "1 file not at hand: optimizer.pt"
    assert contradicted(copy) == []


def altered(path: Path) -> None:
    """Another number of epochs in a statement, which stays readable."""
    path.chmod(0o644)
    text = path.read_text()
    assert '"seed": 0' in text
    path.write_text(text.replace('"seed": 0', '"seed": 1', 1))


def test_a_statement_that_was_changed_vouches_for_nothing(copy: Traced) -> None:
    altered(copy.model / provenance.NAME)
    found = contradicted(copy)
    assert [(k, c) for k, c, _ in found] == [("complete model", "statement")]
    assert "its seal does not fit" in found[0][2]
    assert [c["claim"] for c in copy.trace()["nodes"][0]["checks"]] == ["statement"]


@pytest.mark.parametrize("spoil", [altered, lambda path: path.write_text("{}")])
def test_a_changed_statement_upstream_is_a_contradiction(
    copy: Traced, spoil: Callable[[Path], None]
) -> None:
    spoil(copy.root / "artifacts/train" / provenance.NAME)
    found = contradicted(copy)
    assert [(k, c) for k, c, _ in found] == [("training", "files")]
    assert found[0][2].startswith("artifacts/train/provenance.json was changed")
    mailed = Path(shutil.copytree(copy.model, copy.root.parent / "mailed"))
    for name in ("complete-model", "checkpoint", "data"):
        shutil.rmtree(copy.root / "artifacts" / name)
    shutil.rmtree(copy.root / ".dvc/cache")
    assert contradicted(copy, mailed) == []  # nothing says that artifacts/train is of this run


def test_another_run_in_artifacts_is_missing_here_and_no_contradiction(copy: Traced) -> None:
    copy.resealed(copy.root / "artifacts/train", params={"checkpoint": {}})
    assert contradicted(copy) == []
    (text,) = [t for k, c, t in copy.checks("verified") if (k, c) == ("training", "files")]
    assert text.endswith("in DVC's cache")
    shutil.rmtree(copy.root / ".dvc/cache")
    missing = [(c, t) for k, c, t in copy.checks("missing") if k == "training"]
    assert missing[0][0] == "files" and "artifacts/train holds another run" in missing[0][1]
    assert contradicted(copy) == []


def test_a_statement_in_lineage_that_nothing_names_is_a_contradiction(copy: Traced) -> None:
    shutil.copy(copy.model / provenance.NAME, copy.model / "lineage/extra.json")
    text = (copy.model / "lineage/extra.json").read_text().replace("torch_mlp", "other")
    (copy.model / "lineage/extra.json").write_text(text)
    found = contradicted(copy)
    assert {c for _, c, _ in found} == {"files", "lineage", "dvc.lock"}
    assert any(t.startswith("lineage/extra.json is a statement that nothing") for _, _, t in found)


def test_a_statement_in_lineage_that_was_replaced_leaves_the_chain_broken(
    copy: Traced, tmp_path: Path
) -> None:
    """Away from the repository, where no other copy is at hand."""
    alone = Path(shutil.copytree(copy.model, tmp_path / "mailed"))
    altered(alone / "lineage/train.json")
    empty = Traced(tmp_path / "empty")
    empty.root.mkdir()
    found = empty.checks("contradicted", alone)
    assert [c for _, c, _ in found] == ["files", "lineage"]
    missing = [t for _, c, t in empty.checks("missing", alone) if c == "made from"]
    assert len(missing) == 1 and missing[0].startswith("artifacts/train with the digest")


def test_params_that_a_stage_upstream_did_not_run_with_are_a_contradiction(
    copy: Traced,
) -> None:
    params = provenance.params(copy.model)
    params["train"]["lr"] = 0.5
    copy.resealed(copy.model, params=params)
    (found,) = contradicted(copy)
    assert found == (
        "complete model",
        "params",
        "train.lr 0.5 (there 0.001): not what the checkpoint that it was made from ran with",
    )


def test_a_damaged_object_in_dvcs_cache_is_a_contradiction(copy: Traced) -> None:
    shutil.rmtree(copy.root / "artifacts/train")
    held = copy.resolve(MODEL).cached
    (objects,) = held.values()
    objects["epoch_0002.pt"].chmod(0o644)
    objects["epoch_0002.pt"].write_bytes(b"rot")
    found = contradicted(copy)
    assert [(k, c) for k, c, _ in found] == [("training", "files")]
    assert "it is in DVC's cache as" in found[0][2]


# Code -----------------------------------------------------------------------------------------


def test_a_commit_whose_files_are_not_the_recorded_ones_is_a_contradiction(copy: Traced) -> None:
    path = copy.root / "models/torch_mlp.py"
    path.write_text(path.read_text() + "# another\n")
    copy.resealed(copy.model, commit=copy.commit("another model"))
    found = [(c, t) for k, c, t in contradicted(copy) if k == "complete model"]
    assert [c for c, _ in found] == ["code files"]
    assert found[0][1].startswith("models is ")
    assert found[0][1].endswith("the code that ran is not what git has (torch_mlp.py)")


def test_a_commit_without_the_file_is_a_contradiction(copy: Traced) -> None:
    (copy.root / "pipeline/export_complete.py").unlink()
    copy.resealed(copy.model, commit=copy.commit("no export"))
    found = [t for _, c, t in copy.checks("contradicted") if c == "code files"]
    assert len(found) == 1 and found[0].startswith("pipeline/export_complete.py does not exist at")


@pytest.fixture
def patched(copy: Traced) -> Traced:
    """Data prepared from a dirty tree: a changed, a new and a deleted file."""
    changed = copy.root / "pipeline/data/columns.py"
    changed.write_text(changed.read_text() + "# changed\n")
    (copy.root / "pipeline/data/tables/extra.py").write_text("EXTRA = 1\n")
    (copy.root / "models/torch_cnn.py").unlink()
    copy.stage("prepare")
    copy.run("git", "checkout", "--", ".")
    (copy.root / "pipeline/data/tables/extra.py").unlink()
    return copy


DATA = "artifacts/data"


def test_a_patch_at_hand_is_applied_and_its_files_compared(patched: Traced) -> None:
    assert contradicted(patched, DATA) == []
    told = {c: t for _, c, t in patched.checks("verified", DATA)}
    assert told["patch"].endswith("is at hand and fits")
    assert told["code files"].startswith("5 of 5") and told["code files"].endswith("the patch")
    assert patched.run("git", "status", "--porcelain").stdout == ""


def test_a_patch_that_is_not_at_hand_is_missing(patched: Traced) -> None:
    (patched.root / DATA / provenance.PATCH).unlink()
    missing = {c: t for _, c, t in patched.checks("missing", DATA)}
    assert set(missing) == {"files", "patch", "code files", "dvc.lock"}
    assert missing["code files"].startswith("pipeline/data: not at hand")
    verified = {c: t for _, c, t in patched.checks("verified", DATA)}
    assert verified["code files"].startswith("4 of 5 (pipeline/config, pipeline/prepare.py, ")
    assert contradicted(patched, DATA) == []


def test_a_patch_that_was_changed_is_a_contradiction(patched: Traced) -> None:
    path = patched.root / DATA / provenance.PATCH
    path.write_bytes(path.read_bytes().replace(b"EXTRA", b"OTHER"))
    assert [c for _, c, _ in contradicted(patched, DATA)] == ["files"]
    assert "patch" in {c for _, c, _ in patched.checks("missing", DATA)}


def test_a_patch_that_does_not_fit_its_commit_is_a_contradiction(patched: Traced) -> None:
    (patched.root / "models/torch_cnn.py").unlink()
    patched.resealed(patched.root / DATA, commit=patched.commit("deleted already"))
    found = contradicted(patched, DATA)
    assert [c for _, c, _ in found] == ["patch"] and "cannot be applied to commit" in found[0][2]


def todo(project: Traced, claim: str, what: str | Path = MODEL) -> str:
    checks = project.trace(what)["nodes"][0]["checks"]
    return next(c["todo"] for c in checks if c["claim"] == claim)


def test_a_commit_on_no_branch_is_told_with_how_to_keep_it(copy: Traced) -> None:
    copy.run("git", "checkout", "--quiet", "--orphan", "other")
    copy.commit("begun anew")
    copy.run("git", "branch", "--delete", "--force", "main")
    copy.run(
        "git",
        "update-ref",
        "-d",
        copy.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.strip(),
    )
    (text,) = {t for _, c, t in copy.checks("verified") if c == "code"}
    assert "on no branch or tag: git may delete it" in text
    assert todo(copy, "code").startswith("keep it: `git branch keep-")
    assert contradicted(copy) == []


def test_a_tag_or_a_detached_head_reaches_a_commit(copy: Traced) -> None:
    copy.run("git", "checkout", "--quiet", "--detach", "main")
    copy.run("git", "branch", "--delete", "--force", "main")
    assert ", on HEAD; nothing" in copy.checks("verified")[3][2]
    copy.run("git", "tag", "v1")
    assert ", on tag v1; nothing" in copy.checks("verified")[3][2]


def cloned(project: Traced, place: Path, *options: str) -> Traced:
    command = ["git", "clone", "--quiet", *options, f"file://{project.root}", str(place)]
    subprocess.run(command, check=True)
    return Traced(place)


def test_a_shallow_clone_says_how_to_deepen_it(whole: Traced, tmp_path: Path) -> None:
    clone = cloned(whole, tmp_path / "clone", "--depth", "1")
    assert contradicted(clone, whole.model) == []
    missing = {c: t for k, c, t in clone.checks("missing", whole.model) if k == "complete model"}
    assert "is not in this repository" in missing["code"]
    assert todo(clone, "code", whole.model) == "this clone is shallow: `git fetch --unshallow`"
    verified = [t for _, c, t in clone.checks("verified", whole.model) if c == "code files"]
    assert all(text.endswith("in the work tree") for text in verified) and len(verified) == 4
    clone.run("git", "fetch", "--quiet", "--unshallow")
    assert "code" not in {c for _, c, _ in clone.checks("missing", whole.model)}


def test_a_commit_that_was_not_fetched_names_the_remote(copy: Traced, tmp_path: Path) -> None:
    clone = cloned(copy, tmp_path / "clone")
    (copy.root / "models/new.py").write_text("NEW = 1\n")
    commit = copy.commit("later")
    copy.resealed(copy.model, commit=commit)
    assert todo(clone, "code", copy.model) == f"`git fetch origin {commit}`"
    clone.run("git", "remote", "remove", "origin")
    assert todo(clone, "code", copy.model).startswith(f"`git fetch ADDRESS {commit}`")


def test_without_git_the_work_tree_is_compared(copy: Traced) -> None:
    shutil.rmtree(copy.root / ".git")
    missing = {(c, t.partition(" is not in ")[2]) for _, c, t in copy.checks("missing")}
    assert missing == {("code", f"{copy.root}, which is no git repository")}
    assert contradicted(copy) == []


def test_what_was_made_outside_git_says_so(tmp_path: Path) -> None:
    project = Traced(make_project(tmp_path / "project").root)
    shutil.rmtree(project.root / ".git")
    project.stage("prepare")
    (text,) = [t for _, c, t in project.checks("missing", DATA) if c == "code"]
    assert text.startswith("made outside git, so no commit names its code")
    assert contradicted(project, DATA) == []


# Data -----------------------------------------------------------------------------------------


def raw(project: Traced, verdict: str, what: str = MODEL) -> str:
    return next((t for _, c, t in project.checks(verdict, what) if c == "raw data"), "")


def test_other_raw_data_in_the_work_tree_is_no_contradiction(copy: Traced) -> None:
    (copy.root / "data/digits.csv").write_text("label\n1\n")
    assert "is at commit" in raw(copy, "verified")
    assert contradicted(copy) == []
    shutil.rmtree(copy.root / ".git")
    assert raw(copy, "missing").endswith("is not at hand; the work tree has other data")


def test_raw_data_that_dvc_tracks_is_found_in_its_cache(tmp_path: Path) -> None:
    project = Traced(make_project(tmp_path / "project").root)
    project.run("git", "rm", "--quiet", "--cached", "data/digits.csv")
    project.run("dvc", "add", "--quiet", "data/digits.csv")
    project.commit("in DVC")
    project.stage("prepare")
    assert "in the work tree" in raw(project, "verified", DATA)
    (project.root / "data/digits.csv").unlink()
    assert "is at commit" in raw(project, "verified", DATA)
    shutil.rmtree(project.root / ".dvc/cache")
    assert raw(project, "missing", DATA).endswith("the work tree has other data")
    assert "`dvc pull`" in str(project.trace(DATA)["nodes"][0]["checks"])


def test_raw_data_that_were_streamed_are_verified_by_what_names_them_here_or_not(
    tmp_path: Path,
) -> None:
    project = Traced(make_project(tmp_path / "project").root)
    streaming(project, tmp_path / "store")
    told = "read from DVC's remote, where it was not looked at now"
    assert "in the work tree" in raw(project, "verified", DATA)
    project.run("dvc", "pull", "--quiet", "data/big.dvc")
    here = raw(project, "verified", DATA)
    assert "in the work tree" in here and here.endswith(f"data/big was {told}")
    (project.root / "data/other.csv").touch()
    there = raw(project, "verified", DATA)
    assert "is at commit" in there and there.endswith(told)
    pointer = project.root / "data/big.dvc"
    pointer.write_text(pointer.read_text().replace("md5: ", "md5: 0"))
    project.commit("other rows")
    (project.root / "data/other.csv").unlink()
    assert "is at commit" in raw(project, "verified", DATA)
    shutil.rmtree(project.root / ".git")
    assert raw(project, "missing", DATA).endswith("is not at hand; the work tree has other data")


# dvc.lock, MLflow, environment ------------------------------------------------------------------


def edited(project: Traced, old: str, new: str) -> None:
    path = project.root / "dvc.lock"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_other_params_in_dvc_lock_are_a_contradiction(copy: Traced) -> None:
    edited(copy, "epochs: 2", "epochs: 3")
    found = contradicted(copy)
    assert {c for _, c, _ in found} == {"dvc.lock"} and len(found) == 3
    assert "dvc.lock names it, but with other params: train.epochs 2 (there 3)" in found[0][2]


def test_a_dvc_lock_about_another_run_is_missing(copy: Traced) -> None:
    """That of the experiment, while artifacts/ holds the first run."""
    commit = copy.resolve("quick").revision
    copy.run("git", "checkout", str(commit), "--", "dvc.lock")
    texts = {t for _, c, t in copy.checks("missing") if c == "dvc.lock"}
    assert "dvc.lock is about another run of stage export-complete" in texts
    assert contradicted(copy) == []


def test_a_dvc_lock_that_cannot_be_read_is_told(copy: Traced) -> None:
    (copy.root / "dvc.lock").write_text("<<<<<<< HEAD\nstages: {\n")
    texts = {t for _, c, t in copy.checks("missing") if c == "dvc.lock"}
    assert len(texts) == 1 and "no YAML" in texts.pop()


def test_an_experiment_is_traced_from_the_cache_alone(whole: Traced) -> None:
    assert contradicted(whole, "quick") == []
    nodes = {node["kind"]: node for node in whole.trace("quick")["nodes"]}
    assert nodes["training"]["in_dvc_cache"] and nodes["training"]["place"] is None
    lines = {c["claim"]: c for c in nodes["training"]["checks"]}
    assert lines["files"]["verdict"] == "verified"
    assert lines["dvc.lock"]["text"].startswith("dvc.lock of commit")


def test_a_logged_model_of_another_digest_is_a_contradiction(copy: Traced) -> None:
    logged = copy.root / f"mlartifacts/models/{copy.report['model_id']}/artifacts"
    altered(logged / provenance.NAME)
    (found,) = contradicted(copy)
    assert found[1] == "MLflow" and "is of another complete model" in found[2]
    claims = [(k, c) for k, c, _ in contradicted(copy, copy.report["run_id"])]
    assert claims == [("complete model", "statement")]
    copy.resealed(logged)
    texts = {c: t for _, c, t in contradicted(copy, copy.report["run_id"])}
    assert "but logged this one" in texts["MLflow"]


def test_a_runs_statement_that_was_replaced_is_a_contradiction(copy: Traced) -> None:
    altered(copy.root / f"mlartifacts/{copy.report['run_id']}/artifacts/provenance/train.json")
    (found,) = contradicted(copy)
    assert found[1] == "MLflow" and "provenance/train.json is of another" in found[2]


def test_a_run_that_mlflow_does_not_have_is_missing(copy: Traced) -> None:
    with sqlite3.connect(copy.root / "mlflow.db") as database:
        database.execute("DELETE FROM tags")
    ((_, _, text),) = copy.checks("missing")
    assert text == "no run in mlflow.db names it"
    (copy.root / "mlflow.db").unlink()
    assert copy.checks("missing")[0][2].endswith("there is no such file")


def test_a_server_is_not_asked_for_a_directory(copy: Traced) -> None:
    params = copy.root / "params.yaml"
    params.write_text(params.read_text().replace("uri: null", "uri: http://127.0.0.1:9"))
    ((_, claim, text),) = copy.checks("missing")
    assert claim == "MLflow" and text == "runs are at http://127.0.0.1:9, which is not asked"


def test_another_environment_is_named_package_by_package(copy: Traced) -> None:
    environment = provenance.environment()
    packages = {**environment["packages"], "torch": "2.0.0"}
    copy.resealed(copy.model, environment={"python": "3.10.1", "packages": packages})
    (text,) = [t for _, c, t in copy.checks("missing") if c == "environment"]
    assert "here 2 differ: python 3.10.1 (here 3." in text and "torch 2.0.0 (here 2." in text
    more = {**environment, "packages": {**environment["packages"], "new": "1"}}
    assert differences(environment, more) == ["new none (here 1)"]


# Alone, and with parents ------------------------------------------------------------------------


def test_a_complete_model_alone_tells_its_whole_chain(whole: Traced, tmp_path: Path) -> None:
    empty = Traced(tmp_path / "empty")
    empty.root.mkdir()
    shutil.copytree(whole.model, empty.root / "mailed")
    told = empty.trace("mailed")
    assert [n["kind"] for n in told["nodes"]] == [
        *("complete model", "checkpoint", "training", "data")
    ]
    assert told["counts"]["contradicted"] == 0
    assert told["nodes"][2]["params"]["train"]["epochs"] == 2
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.trace", "mailed"],
        cwd=empty.root,
        env={**os.environ, "PYTHONPATH": str(whole.root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "which is no git repository" in " ".join(done.stdout.split())


def test_a_resumed_models_parents_are_traced_too(copy: Traced) -> None:
    first = copy.digest
    kept = Path(shutil.copytree(copy.model, copy.root.parent / "mailed"))
    copy.script(WRITE_PARAMS, str(kept), "train.epochs=1", "export.attempt=[]")
    for stage in ("train", "checkpoint", "export-complete"):
        copy.stage(stage)
    told = copy.trace()
    assert [(n["kind"], n["parent"]) for n in told["nodes"]] == [
        *(("complete model", False), ("checkpoint", False), ("training", False)),
        *(("complete model", True), ("checkpoint", True), ("training", True), ("data", False)),
    ]
    assert told["nodes"][3]["digest"] == first
    assert told["counts"]["contradicted"] == 0
    assert f"parent: complete model {first[:12]}" in as_text(told)
    pointer = [c for c in told["nodes"][3]["checks"] if c["claim"] == "dvc"]
    assert [c["verdict"] for c in pointer] == ["verified"]

    path = copy.root / "parents" / first / "README.md"
    path.chmod(0o644)
    path.write_text("Another.\n")
    found = contradicted(copy)
    assert [(k, c) for k, c, _ in found] == [("complete model", "files"), ("complete model", "dvc")]
    shutil.rmtree(path.parent)
    assert contradicted(copy) == []
    parent = copy.trace()["nodes"][3]
    assert parent["digest"] == first and parent["place"]  # as MLflow logged it

    copy.resealed(copy.model, params={"train": {"parent": None}})
    assert "made from" in {c for _, c, _ in contradicted(copy)}


def test_nodes_are_shown_once_and_upstream_of_what_was_made_from_them(whole: Traced) -> None:
    told = whole.trace()
    position = {node["digest"]: i for i, node in enumerate(told["nodes"])}
    for node in told["nodes"]:
        for dep in node["made_from"]:
            if dep["digest"] in position:
                assert position[dep["digest"]] > position[node["digest"]]


def test_a_statement_of_a_later_stage_is_told_as_it_stands() -> None:
    """Stages that this page has no word for keep their own name."""
    from pipeline.trace.claims import named

    definition = {"externalParameters": {"stage": "quantize"}}
    statement = {"predicate": {"buildDefinition": definition}}
    assert named(Node(digest="ab" * 32, statement=statement)) == "quantize abababababab"
