"""Whatever names an artifact leads to its statement, and to all that it was made from."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.provenance.lineage import node
from pipeline.resolve import resolve
from pipeline.resolve.forms import LISTED
from testing import preloaded
from testing.traced import Traced, traced

CHAIN = ["export-complete", "checkpoint", "prepare", "train"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Read it; `copied` is for changing."""
    return traced(tmp_path_factory)


def stages(found) -> list[str]:
    return sorted(node.stage for node in found.known.values())


@pytest.mark.parametrize(
    ("what", "file"),
    [
        ("artifacts/complete-model", None),
        ("artifacts/complete-model/", None),
        ("artifacts/complete-model/model.pt2", "model.pt2"),
        ("artifacts/complete-model/examples/one.npz", "examples/one.npz"),
        ("artifacts/complete-model/examples", None),
        ("artifacts/complete-model/provenance.json", "provenance.json"),
        ("run", None),
        ("runs:/run", None),
        ("runs:/run/torch_mlp/model.pt2", "model.pt2"),
        ("models:/digits/1", None),
        ("models:/digits@champion", None),
        ("models:/digits/1/model.pt2", "model.pt2"),
        ("models:/model", None),
        ("models:/model/optimizer.pt", "optimizer.pt"),
        ("digest", None),
        ("digest8", None),
        ("sha256 of model.pt2", "model.pt2"),
        ("HEAD", None),
        ("main", None),
        ("commit7", None),
    ],
)
def test_every_name_of_a_complete_model_leads_to_it(whole: Traced, what: str, file: str | None):
    head = whole.run("git", "rev-parse", "HEAD").stdout.strip()
    names = {
        "run": whole.report["run_id"],
        "runs:/run": f"runs:/{whole.report['run_id']}",
        "runs:/run/torch_mlp/model.pt2": f"runs:/{whole.report['run_id']}/torch_mlp/model.pt2",
        "models:/model": whole.report["model_uri"],
        "models:/model/optimizer.pt": f"{whole.report['model_uri']}/optimizer.pt",
        "digest": whole.digest,
        "digest8": whole.digest[:8],
        "sha256 of model.pt2": provenance.digest(whole.model / "model.pt2")[:16],
        "commit7": head[:7],
    }
    found = whole.resolve(names.get(what, what))
    assert found.node.digest == whole.digest
    assert stages(found) == sorted(CHAIN)
    assert found.file == file
    assert found.run == whole.report["run_id"]
    assert found.revision == (head if what in ("HEAD", "main", "commit7") else None)
    assert set(found.places) == set(found.known) and not found.cached


@pytest.mark.parametrize(
    ("directory", "stage"),
    [("checkpoint", "checkpoint"), ("train", "train"), ("data", "prepare")],
)
def test_another_artifact_is_found_with_what_lies_upstream(
    whole: Traced, directory: str, stage: str
) -> None:
    found = whole.resolve(f"artifacts/{directory}")
    assert found.node.stage == stage and found.run is None
    assert "export-complete" not in stages(found)
    assert provenance.digest(whole.root / "artifacts" / directory) == found.node.digest


def test_a_logged_model_is_the_place_when_mlflow_names_it(whole: Traced) -> None:
    found = whole.resolve(whole.report["model_uri"])
    assert "mlartifacts" in found.places[found.node.digest].parts


def test_a_statement_among_a_runs_artifacts_is_the_stage_that_it_is_of(whole: Traced) -> None:
    found = whole.resolve(f"runs:/{whole.report['run_id']}/provenance/train.json")
    assert found.node.stage == "train"
    path = f"mlartifacts/{whole.report['run_id']}/artifacts/provenance/train.json"
    assert whole.resolve(path).node == found.node


def test_a_file_by_itself_is_known_by_its_bytes(whole: Traced, tmp_path: Path) -> None:
    lone = tmp_path / "attachment"
    shutil.copy(whole.model / "optimizer.pt", lone)
    found = whole.resolve(lone)
    assert (found.node.digest, found.file) == (whole.digest, "optimizer.pt")


def test_a_file_that_was_handed_on_is_that_of_the_last_artifact(whole: Traced) -> None:
    both = {
        provenance.digest(whole.root / f"artifacts/{d}/metrics.json")
        for d in ("checkpoint", "complete-model")
    }
    assert len(both) == 1
    assert whole.resolve(both.pop()).node.stage == "export-complete"


def test_the_sha256_of_the_raw_data_leads_to_what_was_prepared_from_it(whole: Traced) -> None:
    found = whole.resolve(provenance.digest(whole.root / "data"))
    assert found.node.stage == "prepare"


def test_a_dvc_experiment_is_found_in_the_cache(whole: Traced) -> None:
    found = whole.resolve("quick")
    assert found.node.digest != whole.digest
    assert found.node.params["train"]["epochs"] == 1
    assert "mlartifacts" in found.places[found.node.digest].parts
    cached = {found.known[digest].stage: set(held) for digest, held in found.cached.items()}
    assert "epoch_0001.pt" in cached["train"] and "checkpoint.pt" in cached["checkpoint"]
    assert stages(found) == sorted(CHAIN)
    assert found.revision in whole.run("git", "for-each-ref", "refs/exps").stdout


def trainings(whole: Traced, code: str) -> set[str]:
    """Digests of every training from this code whose statement lies in the repository: in its
    artifacts, in DVC's cache, or in MLflow's files, where a copy that logs to the same store writes
    too."""
    digests = set()
    for path in filter(Path.is_file, whole.root.rglob("*")):
        with contextlib.suppress(ValueError):
            if (statement := node(path)).stage == "train" and code in statement.deps.values():
                digests.add(statement.digest)
    return digests


def test_prefixes_of_several_are_refused_with_the_candidates(whole: Traced) -> None:
    """The same code went into several runs, and none was made from another."""
    code = provenance.digest(whole.root / "pipeline/train.py")
    with pytest.raises(PipelineError) as refused:
        whole.resolve(code)
    said, ran = str(refused.value), trainings(whole, code)
    named, more = re.findall(r"(\w{16}) \(train\)", said), re.search(r"and (\d+) more", said)
    assert len(set(named)) == len(named) == min(len(ran), LISTED) >= 2
    assert {digest[:16] for digest in ran} >= set(named)
    assert len(named) + (int(more[1]) if more else 0) == len(ran)
    assert "give one of these" in said


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nowhere", "nowhere: no such file or directory, no git revision, no DVC experiment; give"),
        ("artifacts", "a directory without provenance.json, so no artifact"),
        ("params.yaml", "a file in no artifact, and no statement at hand has its sha256"),
        ("abcdef12", "no sha256 that a statement at hand has"),
        ("abcdef1", "fewer digits of a sha256 than eight"),
        ("0" * 32, "no run in "),
        ("runs:/" + "0" * 32, "mlflow.db; look at tracking.uri in params.yaml"),
        ("models:/digits/7", "has no such version"),
        ("models:/m-" + "0" * 32, "mlflow.db; look at tracking.uri"),
        ("HEAD~1", "names no complete model, for export-complete had not run by then"),
        ("--help", "no git revision"),
        ("", "no such file or directory"),
    ],
)
def test_what_names_nothing_is_told_in_one_line(whole: Traced, what: str, told: str) -> None:
    path = whole.root / what
    with pytest.raises(PipelineError) as refused:
        resolve(str(path if what and path.exists() else what), whole.root)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_revision_whose_complete_model_is_not_in_the_cache_says_how_to_fetch_it(
    whole: Traced, tmp_path: Path
) -> None:
    copy = whole.copied(tmp_path / "copy")
    shutil.rmtree(copy.root / ".dvc/cache")
    assert copy.resolve("HEAD").node.digest == whole.digest  # by the md5 of what lies in artifacts/
    shutil.rmtree(copy.root / "artifacts")
    with pytest.raises(
        PipelineError, match="not in DVC's cache; and no DVC remote is set: made el"
    ):
        copy.resolve("HEAD")
    copy.run("dvc", "remote", "add", "--default", "--quiet", "there", "../remote")
    with pytest.raises(PipelineError, match="not in DVC's cache; fetch it with `dvc fetch"):
        copy.resolve("HEAD")


def test_a_cache_elsewhere_is_found_by_dvcs_configuration(whole: Traced, tmp_path: Path) -> None:
    copy = whole.copied(tmp_path / "copy")
    (copy.root / ".dvc/cache").rename(tmp_path / "shared")
    copy.run("dvc", "cache", "dir", "--local", str(tmp_path / "shared"))
    shutil.rmtree(copy.root / "artifacts")
    assert copy.resolve("HEAD").node.digest == whole.digest
    copy.run("dvc", "cache", "dir", "--local", "../shared")
    assert copy.resolve("quick").node.params["train"]["epochs"] == 1


def test_a_moved_repository_finds_its_logged_models(whole: Traced, tmp_path: Path) -> None:
    copy = whole.copied(tmp_path / "copy")
    found = copy.resolve(copy.report["run_id"])
    assert found.places[found.node.digest].is_relative_to(copy.root / "mlartifacts")


def test_a_run_whose_files_are_gone_is_found_by_its_tag(whole: Traced, tmp_path: Path) -> None:
    copy = whole.copied(tmp_path / "copy")
    (copy.root / "mlartifacts").rename(tmp_path / "away")
    model = copy.report["model_id"]
    gone = whole.root / f"mlartifacts/models/{model}"  # as the database has it
    found = copy.resolve(copy.report["run_id"])
    assert found.node.digest == whole.digest and gone.exists()


def test_two_experiments_of_one_name_are_told_apart_by_commit(
    whole: Traced, tmp_path: Path
) -> None:
    copy = whole.copied(tmp_path / "copy")
    head = copy.run("git", "rev-parse", "HEAD").stdout.strip()
    before = copy.run("git", "rev-parse", "HEAD~1").stdout.strip()
    copy.run("git", "update-ref", f"refs/exps/{before[:2]}/{before[2:]}/quick", head)
    with pytest.raises(PipelineError, match=f"{head[:12]} \\(begun from {before[:12]}\\)"):
        copy.resolve("quick")


def test_a_statement_that_cannot_be_read_is_told(whole: Traced, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(whole.model, tmp_path / "model"))
    (broken / provenance.NAME).write_text("{}")
    with pytest.raises(PipelineError, match="changed: no statement can be read from it"):
        whole.resolve(broken)


def test_an_artifact_without_lineage_finds_its_chain_in_the_repository(
    whole: Traced, tmp_path: Path
) -> None:
    alone = Path(shutil.copytree(whole.model, tmp_path / "model"))
    shutil.rmtree(alone / "lineage")
    assert stages(whole.resolve(alone)) == sorted(CHAIN)
    (tmp_path / "empty").mkdir()
    assert stages(resolve(str(alone), tmp_path / "empty")) == ["export-complete"]


@pytest.fixture(scope="module")
def served(whole: Traced, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server over a copy of the project's store."""
    where = tmp_path_factory.mktemp("server")
    store = shutil.copy(whole.root / "mlflow.db", where)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [preloaded.python(), "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{store}"]
    command += ["--host", "127.0.0.1"]
    environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        command, cwd=where, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        uri = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield uri
        process.terminate()


def at_server(root: Path, uri: str) -> Path:
    root.mkdir()
    (root / "params.yaml").write_text(f"tracking:\n  uri: {uri}\n")
    return root


@pytest.mark.parametrize("what", ["run", "models:/digits/1", "models:/digits@champion", "model"])
def test_a_server_gives_the_statements_of_the_whole_chain(
    whole: Traced, served: str, tmp_path: Path, what: str
) -> None:
    root = at_server(tmp_path / "elsewhere", served)
    named = {"run": whole.report["run_id"], "model": whole.report["model_uri"]}.get(what, what)
    found = resolve(named, root)
    assert found.node.digest == whole.digest and found.run == whole.report["run_id"]
    assert stages(found) == sorted(CHAIN) and not found.places


def test_what_a_server_does_not_have_is_told(served: str, tmp_path: Path) -> None:
    root = at_server(tmp_path / "elsewhere", served)
    with pytest.raises(PipelineError, match="no run in http://127"):
        resolve("0" * 32, root)
    with pytest.raises(PipelineError, match="has no such version"):
        resolve("models:/digits/9", root)


def test_a_server_that_is_down_is_told_in_one_line(tmp_path: Path) -> None:
    root = at_server(tmp_path / "elsewhere", "http://ann:secret@127.0.0.1:9")
    with pytest.raises(PipelineError) as refused:
        resolve("models:/digits/1", root)
    assert "http://127.0.0.1:9: not reachable" in str(refused.value)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_store_that_only_mlflow_can_open_is_told(tmp_path: Path) -> None:
    root = at_server(tmp_path / "elsewhere", "postgresql://ann:secret@db/mlflow")
    with pytest.raises(PipelineError, match="found postgresql://db/mlflow, expected sqlite"):
        resolve("runs:/" + "0" * 32, root)
