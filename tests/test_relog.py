"""MLflow's store is deleted, and relog makes it again: real runs, real DVC, real MLflow."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults._server import Server, serving
from pipeline.relog.executions import Execution, executions
from pipeline.relog.runs import details, sections, tracking
from pipeline.relog.sources import Stored
from pipeline.resolve import dvc
from pipeline.resolve.logged import KEY
from pipeline.resolve.mlflow_tables import Local
from testing import preloaded
from testing.project import TINY, Project
from testing.traced import Traced, traced

RELOG = ("python", "-m", "pipeline.relog")
OTHER = (*TINY, "train.epochs=1", "train.lr=0.02", "verify.checks=[integrity]")
REGISTERED = "MLflow: later version 1; @verified names it now"


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """A committed run, an experiment, and a run that dvc.lock has forgotten, which was registered
    later. Copy it."""
    project = traced(tmp_path_factory).copied(tmp_path_factory.mktemp("relog") / "lived-in")
    project.run("python", "-m", "pipeline", *OTHER)
    project.run("python", "-m", "pipeline", *OTHER, "tracking.register=later")
    forget(project)
    return project


def forget(project: Project) -> None:
    """As a second run that overwrites the first does, in less time."""
    project.run("git", "checkout", "--quiet", "HEAD", "--", ".")
    project.run("dvc", "checkout", "--quiet", "--force")


@pytest.fixture
def copy(lived_in: Traced, tmp_path: Path) -> Traced:
    return lived_in.copied(tmp_path / "copy")


def delete_store(project: Project) -> None:
    shutil.rmtree(project.root / "mlartifacts")
    for store in project.root.glob("mlflow.db*"):
        store.unlink()


def relog(project: Project, *arguments: str, code: int = 0) -> list[str]:
    done = project.run(*RELOG, *arguments, check=False)
    assert done.returncode == code, done.stdout
    return done.stdout.splitlines()


def client(store: Path | Server) -> Any:
    """Of a copy: MLflow keeps a database open, and would go on reading one that was deleted."""
    from mlflow import MlflowClient

    if isinstance(store, Server):
        return MlflowClient(store.store)
    place = store.with_name(f"{uuid.uuid4().hex}.copy")
    return MlflowClient(f"sqlite:///{shutil.copy(store, place)}")


def runs(store: Path | Server) -> list[Any]:
    """Those that are not deleted."""
    asked = client(store)
    return list(asked.search_runs([each.experiment_id for each in asked.search_experiments()]))


def told(store: Path | Server) -> dict[str, dict[str, Any]]:
    """By digest, of every run all but what names it or its place."""
    files = store.files if isinstance(store, Server) else None
    found: dict[str, dict[str, Any]] = {}
    for run in runs(store):
        digest = run.data.tags[KEY]
        assert digest not in found, "two runs of one complete model"
        found[digest] = _told(client(store), run, files)
    return found


def _told(asked: Any, run: Any, files: Path | None) -> dict[str, Any]:
    experiment, run_id = run.info.experiment_id, run.info.run_id
    models = asked.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    histories = {name: asked.get_metric_history(run_id, name) for name in run.data.metrics}
    return {
        "name": run.info.run_name,
        "experiment": asked.get_experiment(experiment).name,
        "state": (run.info.status, run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {
            name: [(m.step, m.timestamp, m.value) for m in every]
            for name, every in histories.items()
        },
        "inputs": [_input(each) for each in run.inputs.dataset_inputs],
        "outputs": len(run.outputs.model_outputs),
        "models": [(m.name, str(m.status), m.params, m.tags, _values(m)) for m in models],
        "files": [_files(place, files) for place in _places(run, models)],
        "versions": [
            _version(asked, version)
            for version in asked.search_model_versions(f"run_id='{run_id}'")
            if KEY in version.tags
        ],
    }


def _version(asked: Any, found: Any) -> tuple[Any, ...]:
    aliases = asked.get_model_version(found.name, found.version).aliases
    return found.name, str(found.version), aliases, found.tags, found.description


def _input(each: Any) -> tuple[Any, ...]:
    """A repository without a remote names itself, and these are copies."""
    source = {k: v for k, v in json.loads(each.dataset.source).items() if k != "url"}
    told = {**each.dataset.to_dictionary(), "source": source}
    return told, {tag.key: tag.value for tag in each.tags}


def _values(model: Any) -> list[tuple[str, int, int, float]]:
    return sorted((m.key, m.step, m.timestamp, m.value) for m in model.metrics)


def _places(run: Any, models: Any) -> list[str]:
    return [run.info.artifact_uri, *(model.artifact_location for model in models)]


def _files(place: str, files: Path | None) -> dict[str, str]:
    root = files / place.removeprefix("mlflow-artifacts:/") if files else Path(place[7:])
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def restorable(project: Project) -> set[str]:
    """The runs that DVC's run cache names, by the latest of its entries each."""
    found = set()
    for folder in {path.parent for path in dvc.run_cache(project.root)}:
        entry = max(folder.iterdir(), key=lambda path: path.stat().st_mtime).read_text()
        if "pipeline.log_to_mlflow" in entry:
            md5 = entry.partition("reports/mlflow.json\n  hash: md5\n  md5: ")[2][:32]
            found.add(json.loads(dvc.stored(project.root, md5).read_bytes())["run_id"])
    return found


def test_every_run_comes_back_as_it_was(copy: Traced) -> None:
    """That which was committed, the experiment, and the one that only DVC's run cache knows."""
    store = copy.root / "mlflow.db"
    before = told(store)
    assert len(before) == 3 and all(all(run["files"]) for run in before.values())
    assert [run["tags"].get("dvc.exp.name") for run in before.values()].count("quick") == 1
    (registered,) = (version for run in before.values() for version in run["versions"])
    assert registered[:3] == ("later", "1", ["verified"])
    gone = restorable(copy)
    delete_store(copy)

    said = relog(copy)

    assert [line.split()[-1] for line in said[1:4]] == ["made"] * 3
    assert said[4:] == [
        REGISTERED,
        "3 made",
        "reports/mlflow.json and dvc.lock name the new run; commit dvc.lock",
    ]
    assert told(store) == before
    assert relog(copy)[-1] == "3 there already"
    assert told(store) == before

    assert copy.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
    alive = {run.info.run_id for run in runs(store)}
    assert copy.report["run_id"] in alive and copy.report["complete_model"] == copy.digest
    assert restorable(copy) == alive and not gone & alive
    assert "Stage 'log-to-mlflow' is cached" in copy.run("python", "-m", "pipeline", *OTHER).stdout
    again = json.loads(copy.read("reports/mlflow.json"))
    assert again["run_id"] in alive - {copy.report["run_id"]}
    assert relog(copy)[-1] == "3 there already"


def test_a_killed_relog_is_finished_by_the_next(copy: Traced) -> None:
    """It is killed while the second of three runs is being logged."""
    store = copy.root / "mlflow.db"
    before = told(store)
    delete_store(copy)
    process = begun(copy)
    assert process.stdout
    while b"[1/3]" not in process.stdout.readline():
        assert process.poll() is None
    until = time.monotonic() + 60
    while not Local(store).rows("SELECT 1 FROM runs WHERE status = 'RUNNING'"):
        assert time.monotonic() < until and process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert relog(copy)[-2].split(", ") == ["1 there already", "2 made"]
    assert told(store) == before


def begun(project: Project, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [preloaded.python(), *RELOG[1:], *arguments]
    return subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "store") as server:
        yield server


def test_two_clones_at_once_make_each_run_once_on_a_server(
    copy: Traced, tmp_path: Path, server: Server
) -> None:
    before, report = told(copy.root / "mlflow.db"), copy.read("reports/mlflow.json")
    clones = copy, copy.copied(tmp_path / "clone")
    uri = f"http://127.0.0.1:{server.port}"
    processes = [begun(each, "--to", uri) for each in clones]
    said = [process.communicate(timeout=500)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert told(server) == before
    assert copy.read("reports/mlflow.json") == report, "it names the store of params.yaml"


def test_what_is_rotten_or_missing_is_named_and_the_rest_is_made(copy: Traced) -> None:
    """And comes from DVC's remote when asked for."""
    store = copy.root / "mlflow.db"
    before = told(store)
    shutil.copytree(copy.root / ".dvc/cache", copy.root.with_name("remote"))
    digest = {
        run["tags"].get("dvc.exp.name", run["params"]["train.lr"]): d for d, run in before.items()
    }
    delete_store(copy)
    rotten = copy.resolve("quick").cached[digest["quick"]]["model.pt2"]
    content = bytearray(rotten.read_bytes())
    content[len(content) // 2] ^= 1
    rotten.chmod(0o644)
    rotten.write_bytes(content)
    missing = copy.resolve(digest["0.02"]).cached[digest["0.02"]]["model.pt2"]
    missing.unlink()

    said = relog(copy, code=1)

    assert [line for line in said if line.endswith(": made")] == [said[1]]
    assert said[4] == "1 made, 2 cannot be made"
    (told_rotten,) = [line for line in said if f"{digest['quick']}: cannot be made" in line]
    assert f"{rotten}: rotten" in told_rotten
    (told_missing,) = [line for line in said if f"{digest['0.02']}: cannot be made" in line]
    assert "not in DVC's cache: artifacts/complete-model (" in told_missing
    assert "`dvc fetch --all-commits --run-cache`" in told_missing
    assert set(told(store)) == {copy.digest}

    rotten.unlink()
    copy.run("dvc", "remote", "add", "--default", "--quiet", "there", "../remote")
    assert relog(copy, "--pull")[4:6] == [REGISTERED, "1 there already, 2 made"]
    assert told(store) == before


def test_what_was_made_elsewhere_is_passed_over_in_one_line(copy: Traced, tmp_path: Path) -> None:
    """A fresh clone has the history of whoever made the project, and runs of its own later."""
    clone = Project(tmp_path / "clone")
    copy.run("git", "clone", "--quiet", str(copy.root), str(clone.root))
    elsewhere = "not made here: neither their models nor their reports are in this clone"
    said = relog(clone)
    assert [line for line in said if elsewhere in line] == [said[1]]
    assert "and no DVC remote is set; passed over" in said[1]
    assert "0 runs are known" in said[0] and said[2:] == ["nothing to do"]
    done = clone.run("python", "-m", "pipeline.trace", "HEAD", check=False)
    assert "no DVC remote is set: made elsewhere, or removed; its name alone is here" in done.stdout
    clone.run("dvc", "remote", "add", "--default", "--quiet", "there", "../nothing")
    assert "--pull gets what the DVC remote has" in relog(clone, code=1)[1]


def test_a_dry_run_logs_nothing(copy: Traced) -> None:
    delete_store(copy)
    assert relog(copy, "--dry-run")[-1] == "3 would be made"
    assert runs(copy.root / "mlflow.db") == [] and not (copy.root / "mlartifacts").exists()


def test_a_server_that_is_not_there_is_one_line(copy: Traced) -> None:
    done = copy.run(
        *RELOG, "--to", "http://127.0.0.1:9", check=False, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"
    )
    assert done.returncode == 2
    last = done.stdout.splitlines()[-1]
    assert last.startswith("error: relog: MLflow at http://127.0.0.1:9:") and "[" not in last[:20]


ENTRY = """\
schema: '2.0'
stages:
  verify:
    cmd: python -m pipeline.verify
    params:
      params.yaml:
        verify:
          checks: []
  log-to-mlflow:
    cmd: >-
      python -m pipeline.log_to_mlflow --complete-model out/model --checkpoint out/checkpoint
      --train out/train --data out/data --verify-report out/v.json --report out/m.json
    deps:
    - {path: out/model, md5: MODEL.dir}
    - {path: out/checkpoint, md5: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbba.dir}
    - {path: out/train, md5: ccccccccccccccccccccccccccccccca.dir}
    - {path: out/data, md5: ddddddddddddddddddddddddddddddda.dir}
    - {path: out/v.json, md5: eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeea}
    - {path: pipeline/tracking/pictures.py, md5: fffffffffffffffffffffffffffffffa}
    params:
      params.yaml:
        tracking:
          name: server
          uri: https://me:secret@example.org
          experiment: digits
    outs:
    - {path: out/m.json, md5: 9999999999999999999999999999999a}
"""


def entry(number: int) -> str:
    return ENTRY.replace("MODEL", f"a{number:031x}")


@pytest.fixture
def history(tmp_path: Path) -> Project:
    """Runs 1 on main, 2 on a branch that a merge dropped, 3 an experiment, 4 in a stash, 5 in a
    commit that was amended away, 6 in the work tree and 7 in the run cache; and two broken ones."""
    project = Project(tmp_path / "history")
    project.root.mkdir()

    def commit(content: str) -> str:
        (project.root / "dvc.lock").write_text(content)
        return project.commit()

    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    commit(entry(1))
    project.run("git", "checkout", "--quiet", "-b", "side")
    commit(entry(2))
    project.run("git", "checkout", "--quiet", "main")
    project.run("git", "commit", "--quiet", "--allow-empty", "--message", "on main")
    project.run("git", "merge", "--quiet", "--strategy=ours", "--message", "ours", "side")
    project.run("git", "branch", "--quiet", "--delete", "--force", "side")
    project.run("git", "checkout", "--quiet", "--detach")
    experiment = commit(entry(3))
    ref = f"refs/exps/{experiment[:2]}/{experiment[2:]}/quick-dog"
    project.run("git", "update-ref", ref, experiment)
    project.run("git", "checkout", "--quiet", "main")
    (project.root / "dvc.lock").write_text(entry(4))
    project.run("git", "stash", "--quiet")
    commit(entry(5))
    (project.root / "dvc.lock").write_text(
        entry(5).replace("MODEL", "no md5").replace("    deps", "   deps")
    )
    project.run("git", "commit", "--quiet", "--all", "--amend", "--message", "a conflict")
    commit(
        entry(8).replace("out/m.json, md5", "../m.json, md5").replace("--report out", "--report ..")
    )
    (project.root / "dvc.lock").write_text(entry(6))
    ran = project.root / ".dvc/cache/runs/ab" / ("ab" * 32)
    ran.mkdir(parents=True)
    text = entry(7).partition("  log-to-mlflow:\n")[2]
    (ran / ("cd" * 32)).write_text("".join(line[4:] for line in text.splitlines(keepends=True)))
    return project


def numbered(root: Path) -> tuple[dict[int, Execution], list[str]]:
    found, faults = executions(root)
    assert len({each.model for each in found}) == len(found)
    return {int(each.model[1:32], 16): each for each in found}, faults


def test_a_run_is_known_by_whatever_has_its_entry_in_dvc_lock(history: Project) -> None:
    found, faults = numbered(history.root)
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 7]
    assert {n: each.experiment for n, each in found.items() if each.experiment} == {3: "quick-dog"}
    assert len(faults) == 2, faults
    assert all("dvc.lock of commit" in fault and "\n" not in fault for fault in faults)
    assert "pipeline/tracking/pictures.py" not in found[1].md5


def test_a_report_of_an_earlier_version_has_the_time_of_its_commit_and_no_login(
    history: Project,
) -> None:
    stored = Stored(root=history.root, execution=numbered(history.root)[0][3], files={})
    asked = ("git", "for-each-ref", "--format=%(committerdate:unix)", "refs/exps")
    seconds = int(history.run(*asked).stdout)
    known = details(stored)
    assert known.start_time == known.end_time == seconds * 1000
    assert known.tags == {"dvc.exp.name": "quick-dog"}
    assert sections(stored)["verify"] == {"checks": []}
    assert sections(stored)["tracking"]["uri"] == "https://example.org"
    as_it_was = tracking(stored)
    assert (as_it_was.experiment, as_it_was.register, as_it_was.upload) == ("digits", None, "files")


def test_a_run_that_is_made_again_keeps_its_name_and_times(
    history: Project, tmp_path: Path
) -> None:
    """Whatever versions since then would call it."""
    report = {"run_name": "torch_mlp-lr0.01-ep2", "start_time": 5, "end_time": 9, "tags": {}}
    file = tmp_path / "mlflow.json"
    file.write_text(json.dumps(report))
    execution = numbered(history.root)[0][3]
    path = execution.paths["report"]
    md5 = {**execution.md5, path: hashlib.md5(file.read_bytes()).hexdigest()}
    execution = dataclasses.replace(execution, md5=md5)
    known = details(Stored(root=history.root, execution=execution, files={path: {"": file}}))
    assert (known.run_name, known.start_time, known.end_time) == ("torch_mlp-lr0.01-ep2", 5, 9)
