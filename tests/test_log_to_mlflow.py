"""Real MLflow on a real sqlite store; the artifacts are small ones made by hand."""

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults._logged import held
from faults._server import Proxy, before, serving
from pipeline import provenance
from pipeline.config.params import Tracking, TrackingParams
from pipeline.errors import ParamsError, PipelineError
from pipeline.log_to_mlflow import log_to_mlflow
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve.logged import KEY
from pipeline.run.made_here import MADE_HERE
from pipeline.tracking import projection, store
from pipeline.tracking import requests as mlflow_requests
from pipeline.tracking.content import (
    LONGEST_NAME,
    LONGEST_PARAM,
    RunContent,
    as_mlflow_params,
    short_name,
    verdict,
)
from pipeline.tracking.description import source
from testing import preloaded
from testing.project import ROOT, Project

LONG = "x" * (LONGEST_PARAM + 1)
SECTIONS = {
    "data": {
        "name": "digits",
        "file": "digits.csv",
        "split": {"val": 0.2},
        "targets": {"label": {"source": "label"}},
    },
    "model": {"name": "torch_mlp", "scheduler": None, "outputs": ["logits"], "note": LONG},
    "train": {"lr": 0.1, "epochs": 2, "seed": 7, "device": "cpu"},
    "checkpoint": {"metric": "val/accuracy", "mode": "max"},
    "tracking": {
        "name": "local",
        "uri": None,
        "experiment": "digits",
        "register": None,
        "promote": "better",
        "upload": "files",
    },
}
SCHEMA = {
    "inputs": {"pixels": {"dtype": "float32", "shape": [64]}},
    "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3, "labels": None}},
    "predictions": {"output": "logits", "target": "label", "classes": 3},
    "rows": {"train": 6, "val": 2, "test": 4},
    "outputs": {"logits": {"dtype": "float32", "shape": [3]}},
    "epoch": 2,
}
REPORT = {
    "passed": True,
    "faults": [],
    "formats": {
        "torch_export": {"max_abs_diff": 0.0, "bytes": 4000, "timing": {"load_seconds": 0.5}},
        "onnx": {"max_abs_diff": 3e-7, "bytes": 200, "timing": {"load_seconds": 0.25}},
        "torch_pickle": {"bytes": 4100, "timing": {}},
    },
    "sizes": {"directory": 9000, "ratio": None},
}
DVC_YAML = """
stages:
  prepare: {cmd: x, deps: [raw], outs: [artifacts/data]}
  log-to-mlflow: {cmd: x, deps: [artifacts/data], outs: [reports/mlflow.json]}
"""
OUTPUTS = {
    "complete_model": Path("artifacts/complete-model"),
    "checkpoint": Path("artifacts/checkpoint"),
    "train": Path("artifacts/train"),
    "data": Path("artifacts/data"),
    "verify_report": Path("reports/verify.json"),
    "report": Path("reports/mlflow.json"),
}
STAGES = {
    "data": ("prepare", ["data"]),
    "train": ("train", ["model", "train"]),
    "checkpoint": ("checkpoint", ["model", "train"]),
    "complete_model": ("export-complete", ["model", "train"]),
}


class Logged(NamedTuple):
    root: Path
    report: dict
    run: Any


PNG = b"\x89PNG"


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs, made once: its tables take a second."""
    import mlflow  # noqa: F401, with pandas, for the other tests of this process

    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    with store.opened(store.locate(f"sqlite:///{database}")) as client:
        client.search_experiments()
    return database


@pytest.fixture
def repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_store: Path
) -> Iterator[Path]:
    """A repository after verify is the working directory."""
    yield make_repository(tmp_path, monkeypatch, fresh_store)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, fresh_store: Path) -> Iterator[Logged]:
    """A run to look at."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        root = make_repository(tmp_path_factory.mktemp("logged"), monkeypatch, fresh_store)
        report = log()
    yield Logged(root, report, client(root).get_run(report["run_id"]))


def make_repository(folder: Path, monkeypatch: pytest.MonkeyPatch, fresh_store: Path) -> Path:
    """In a directory with a space and an umlaut."""
    root = folder / "ein ordner für modelle"
    (root / ".dvc").mkdir(parents=True)
    shutil.copy(fresh_store, root / "mlflow.db")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text(json.dumps(SECTIONS))
    (root / "reports").mkdir()
    (root / "reports/verify.html").write_text("<p>verified</p>")
    (root / "data").mkdir()
    (root / "data/digits.csv").write_text("label\n1\n")
    make(OUTPUTS["data"], {"schema.json": json.dumps(SCHEMA)}, "data")
    make(
        OUTPUTS["train"],
        {"history.csv": "epoch,train/loss,val/accuracy\n1,2.5,\n2,1.5,0.75\n"},
        "train",
    )
    metrics = json.dumps({"test/loss": 1.25, "test/accuracy": 0.5})
    make(
        OUTPUTS["checkpoint"],
        {"metrics.json": metrics, "predictions.csv": "actual,predicted\n0,0\n1,2\n2,2\n1,1\n"},
        "checkpoint",
    )
    make_model(SCHEMA)
    return root


def make(directory: Path, files: dict[str, str], output: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)
    stage, sections = STAGES[output]
    params = {section: SECTIONS[section] for section in sections}
    code = {"name": "git", "digest": {"gitCommit": "0123abcd" * 5}, "annotations": {}}
    deps = ["data"] if output == "data" else []
    provenance.write(directory, provenance.build_definition(stage, params, deps, code))


def make_model(schema: dict, content: str = "flavors: {}") -> None:
    files = {"schema.json": json.dumps(schema), "MLmodel": content, "model.pt2": "weights"}
    make(OUTPUTS["complete_model"], files, "complete_model")
    make_report()


def make_report(**changes: object) -> None:
    digest = provenance.digest(OUTPUTS["complete_model"])
    OUTPUTS["verify_report"].write_text(json.dumps({**REPORT, "complete_model": digest, **changes}))


def log(**changes: Any) -> dict:
    """The stage in this process, with changes of tracking."""
    tracking = SECTIONS["tracking"] | changes
    Path("params.yaml").write_text(json.dumps({**SECTIONS, "tracking": tracking}))
    tracking = Tracking(**tracking)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", preloaded.python())  # it starts one that draws pictures
        log_to_mlflow(**OUTPUTS, params=TrackingParams(tracking=tracking))
    return json.loads(OUTPUTS["report"].read_text())


def client(root: Path):
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def runs(root: Path) -> list:
    from mlflow.entities import ViewType

    found = client(root)
    experiments = [e.experiment_id for e in found.search_experiments()]
    return found.search_runs(experiments, run_view_type=ViewType.ALL)


def start(root: Path, **environ: str) -> subprocess.Popen:
    options = [x for k, v in OUTPUTS.items() for x in (f"--{k.replace('_', '-')}", str(v))]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    return subprocess.Popen(
        [preloaded.python(), "-m", "pipeline.log_to_mlflow", *options],
        cwd=root,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_run_holds_params_metrics_tags_and_its_model(logged: Logged) -> None:
    run, report = logged.run, logged.report
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"torch_mlp-digits-{report['complete_model'][:8]}"
    params = run.data.params
    assert params["train.lr"] == "0.1"
    assert params["model.scheduler"] == "null"
    assert params["model.outputs"] == '["logits"]'
    assert params["model.note"] == LONG[:-2] + "…"
    assert run.data.metrics == {
        "train/loss": 1.5,
        "val/accuracy": 0.75,
        "test/loss": 1.25,
        "test/accuracy": 0.5,
        "verify/max_abs_diff": 3e-7,
        "verify/size_mb": 0.009,
        "verify/torch_export/max_abs_diff": 0.0,
        "verify/torch_export/size_mb": 0.004,
        "verify/torch_export/load_seconds": 0.5,
        "verify/onnx/max_abs_diff": 3e-7,
        "verify/onnx/size_mb": 0.0002,
        "verify/onnx/load_seconds": 0.25,
        "verify/torch_pickle/size_mb": 0.0041,
    }
    assert run.data.tags[KEY] == provenance.digest(logged.root / OUTPUTS["complete_model"])
    assert run.data.tags["checkpoint.epoch"] == "2"
    assert run.data.tags["mlflow.source.git.commit"] == "0123abcd" * 5
    assert "Code: commit `0123abcd" in run.data.tags["mlflow.note.content"]
    assert run.outputs.model_outputs[0].model_id == report["model_id"]


def test_a_metric_of_each_epoch_has_the_epoch_as_step(logged: Logged) -> None:
    history = client(logged.root).get_metric_history(logged.report["run_id"], "train/loss")
    assert [(m.step, m.value) for m in history] == [(1, 2.5), (2, 1.5)]


def test_the_data_set_is_an_input_with_its_full_digest(logged: Logged) -> None:
    dataset = logged.run.inputs.dataset_inputs[0]
    digest = provenance.digest(logged.root / "data/digits.csv")
    assert dataset.dataset.source_type == "dvc"
    assert json.loads(dataset.dataset.source) == {
        "path": "data/digits.csv",
        "rev": "0123abcd" * 5,
        "sha256": digest,
        "url": logged.root.as_uri(),
    }
    assert digest.startswith(dataset.dataset.digest)
    told = {tag.key: tag.value for tag in dataset.tags}
    assert told["sha256"] == digest and told["rev"] == "0123abcd" * 5
    said = f"Data: `data/digits.csv` at revision `{'0123abcd' * 5}`, sha256 `{digest}`."
    assert said in logged.run.data.tags["mlflow.note.content"]


def test_what_a_run_was_judged_by_comes_first(logged: Logged) -> None:
    """MLflow's page that compares runs opens on the first metric that they share."""
    assert list(client(logged.root).get_run(logged.report["run_id"]).data.metrics)[:2] == [
        "test/accuracy",
        "test/loss",
    ]


@pytest.mark.parametrize(
    ("model", "data", "name"),
    [
        ("torch_mlp", "digits", "torch_mlp-digits-"),
        ("keras_text_tabular", "parcels", "keras_te-parcels-"),
        ("m", "a_very_long_name", "m-a_very_-"),
        ("m\n", "d", "m\\n-d-"),
    ],
)
def test_a_run_s_name_fits_into_mlflow_s_table(model: str, data: str, name: str) -> None:
    assert short_name(model, data, "0123456789abcdef") == f"{name}01234567"
    assert len(name) <= LONGEST_NAME - 8


def test_a_run_is_of_the_time_of_its_training_where_that_is_known(repository: Path) -> None:
    digest = provenance.digest(OUTPUTS["train"] / "history.csv")
    MADE_HERE.mkdir(parents=True)
    (MADE_HERE / digest).write_text('{"began": 1700000000123, "seconds": 75.5, "device": "cuda"}')
    report = log()
    run = client(repository).get_run(report["run_id"])
    assert (run.info.start_time, run.info.end_time) == (1700000000123, 1700000075623)
    assert (report["start_time"], report["end_time"]) == (1700000000123, 1700000075623)


def test_a_mark_of_an_older_version_says_no_time(repository: Path) -> None:
    digest = provenance.digest(OUTPUTS["train"] / "history.csv")
    MADE_HERE.mkdir(parents=True)
    (MADE_HERE / digest).touch()
    before = time.time() * 1000
    assert before - 1000 <= log()["start_time"] <= time.time() * 1000


SOURCE = """
import json, sys
import mlflow.data
from mlflow.entities import Dataset
source = mlflow.data.get_source(Dataset("digits", "0", "dvc", sys.argv[1]))
print(type(source).__name__, source.to_json() == sys.argv[1], open(source.load()).read())
"""


@pytest.mark.parametrize("tracked", [False, True], ids=["in git", "by DVC"])
def test_mlflow_finds_the_source_by_its_entry_point_and_loads_the_very_data(
    tmp_path: Path, tracked: bool
) -> None:
    """Wherever the package can be imported, and in a process that has imported none of it."""
    project = Project(tmp_path / "project")
    (project.root / "data").mkdir(parents=True)
    raw = project.root / "data/digits.csv"
    raw.write_text("label\n1\n")
    digest = provenance.digest(raw)
    project.run("git", "init", "--quiet")
    project.run("git", "config", "user.email", "tester@example.org")
    project.run("git", "config", "user.name", "A Tester")
    project.run("dvc", "init", "--quiet")
    if tracked:
        project.run("dvc", "add", "--quiet", "data/digits.csv")
    commit = project.commit()
    raw.write_text("label\n2\n")
    said = {"path": "data/digits.csv", "rev": commit, "sha256": digest}
    text = json.dumps(said | {"url": str(project.root)})
    command = [sys.executable, "-c", SOURCE, text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "DvcSource True label\n1\n\n", done.stderr
    wrong = json.dumps({**said, "sha256": "0" * 64, "url": str(project.root)})
    done = subprocess.run([*command[:3], wrong], cwd=ROOT, capture_output=True, text=True)
    assert "the data were changed and not committed" in done.stderr


def test_a_remote_s_login_is_in_no_source(logged: Logged, tmp_path: Path) -> None:
    made = RunContent(
        **{
            name: logged.root / path
            for name, path in OUTPUTS.items()
            if name in RunContent.__dataclass_fields__
        },
        sections={},
    )
    project = Project(tmp_path)
    project.run("git", "init", "--quiet")
    project.run("git", "remote", "add", "origin", "https://me:secret@example.org/repo.git")
    assert source(made, tmp_path)["url"] == "https://example.org/repo.git"


def test_tags_tell_where_a_run_came_from(repository: Path, monkeypatch) -> None:
    """The patch as well: its file is beside the model."""
    monkeypatch.setenv("DVC_EXP_NAME", "my-experiment")
    code = {"name": "git", "digest": {"gitCommit": "ab" * 20}}
    code["annotations"] = {provenance.PATCH: "cd" * 32}
    definition = provenance.build_definition("export-complete", {"model": {}}, [], code)
    provenance.write(OUTPUTS["complete_model"], definition)
    make_report()
    tags = client(repository).get_run(log()["run_id"]).data.tags
    assert tags["git.commit"] == "ab" * 20 and tags["git.patch"] == "cd" * 32
    assert tags["dvc.exp.name"] == "my-experiment"
    assert tags["data.path"] == "data/digits.csv"
    assert tags["data.sha256"] == provenance.digest(repository / "data/digits.csv")
    for name in ("checkpoint", "train", "data"):
        assert tags[f"provenance.{name}"] == provenance.digest(OUTPUTS[name])


def test_the_run_links_to_the_model_and_the_model_to_the_run(logged: Logged) -> None:
    model = client(logged.root).get_logged_model(logged.report["model_id"])
    assert model.source_run_id == logged.run.info.run_id
    assert [m.model_id for m in logged.run.outputs.model_outputs] == [model.model_id]
    assert model.tags[KEY] == logged.run.data.tags[KEY]


def test_files_of_the_run_are_the_report_statements_params_and_pictures(logged: Logged) -> None:
    import yaml

    assert logged.run.info.artifact_uri.startswith((logged.root / "mlartifacts").as_uri())
    folder = logged.root / "mlartifacts" / logged.run.info.run_id / "artifacts"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    statements = {f"provenance/{stage}.json" for stage, _ in STAGES.values()}
    pictures = {"plots/learning_curves.png", "plots/confusion_matrix.png"}
    reports = {"verify/verify.json", "verify/verify.html"}
    assert found == {"params.yaml"} | statements | pictures | reports
    assert yaml.safe_load((folder / "params.yaml").read_text()) == SECTIONS
    assert all((folder / name).read_bytes().startswith(PNG) for name in pictures)


def test_the_complete_model_is_a_logged_model_with_its_metrics_and_every_file(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.artifacts import download_artifacts

    model = client(logged.root).get_logged_model(logged.report["model_id"])
    assert str(model.status) == "READY"
    assert model.name == "torch_mlp"
    assert model.params["train.lr"] == "0.1"
    assert {m.key: m.value for m in model.metrics}["test/accuracy"] == 0.5
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged.report["tracking_uri"])
    copy = download_artifacts(artifact_uri=logged.report["model_uri"])
    added_by_mlflow = f"{copy}/registered_model_meta: not in the statement"
    assert [fault for fault in provenance.faults(Path(copy)) if fault != added_by_mlflow] == []


def make_version(accuracy: float, **changes: Any) -> tuple[str, dict[str, str]]:
    """Another complete model with this accuracy; what is printed, and the aliases afterwards."""
    metrics = {"test/loss": 2 - accuracy, "test/accuracy": accuracy}
    (OUTPUTS["checkpoint"] / "metrics.json").write_text(json.dumps(metrics))
    (OUTPUTS["complete_model"] / "metrics.json").write_text(json.dumps(metrics))
    make_model(SCHEMA, f"flavors: {{of{accuracy}: {{}}}}")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        report = log(**{"register": "digits"} | changes)
    registered = client(Path.cwd()).get_registered_model("digits")
    assert {KEY: report["complete_model"]} in [v.tags for v in versions(Path.cwd())]
    aliases = {name: str(version) for name, version in registered.aliases.items()}
    return out.getvalue().splitlines()[0], aliases


def versions(root: Path) -> list:
    return client(root).search_model_versions("name = 'digits'")


def test_the_alias_never_moves_to_a_worse_test_metric_unless_told(repository: Path) -> None:
    said, aliases = make_version(0.5)
    assert aliases == {"verified": "1"} and "names it now" in said
    said, aliases = make_version(0.75)
    assert aliases == {"verified": "2"} and "test/accuracy 0.75, there 0.5" in said
    said, aliases = make_version(0.625)
    assert aliases == {"verified": "2"} and "tracking.promote=always moves it" in said
    said, aliases = make_version(0.625, promote="always")
    assert aliases == {"verified": "3"} and "moved here from version 2" in said
    said, aliases = make_version(0.875, promote="never")
    assert aliases == {"verified": "3"} and "stays at version 3 (tracking.promote=never)" in said
    said, aliases = make_version(float("nan"))
    assert aliases == {"verified": "3"} and "test/accuracy nan, there 0.625" in said
    assert len(versions(repository)) == 5


def test_what_is_worse_is_said_by_the_mode_of_the_checkpoint(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECTIONS, "checkpoint", {"metric": "val/loss", "mode": "min"})
    make_version(0.5)
    assert make_version(0.75)[1] == {"verified": "2"}
    assert make_version(0.625)[1] == {"verified": "2"}


def test_a_version_is_the_logged_model_of_its_run(repository: Path) -> None:
    make_version(0.5)
    make_version(0.5)
    (version,) = versions(repository)
    report = json.loads(OUTPUTS["report"].read_text())
    assert version.source == report["model_uri"] and version.run_id == report["run_id"]
    assert "A complete `torch_mlp`" in version.description
    make_version(0.5, register="other")
    told = client(repository).get_logged_model(report["model_id"]).tags["mlflow.modelVersions"]
    named = [{"name": name, "version": "1"} for name in ("digits", "other")]
    assert json.loads(told) == named


def test_by_reference_only_what_tells_what_it_is_is_uploaded(repository: Path) -> None:
    (repository / ".dvc/config").write_text(
        "[core]\n    remote = team\n['remote \"team\"']\n    url = s3://me:secret@bucket/store\n"
    )
    (OUTPUTS["complete_model"] / "README.md").write_text("# The card")
    make_model(SCHEMA)
    report = log(upload="reference")
    (model,) = (repository / "mlartifacts/models").iterdir()
    held = sorted(p.name for p in (model / "artifacts").iterdir())
    assert held == ["README.md", "provenance.json", "reference.json", "schema.json"]
    told = json.loads((model / "artifacts/reference.json").read_text())
    assert told["dvc.remote"] == "s3://bucket/store"
    assert told["dvc.md5"] == resolve_dvc.md5_of(OUTPUTS["complete_model"])
    run = client(repository).get_run(report["run_id"])
    assert told.items() <= run.data.tags.items()
    command = f"python -m pipeline.fetch {told['dvc.md5']} complete-model"
    assert command in run.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uri": "http://me:secret@server"}, "MLFLOW_TRACKING_PASSWORD"),
        ({"uri": "postgresql://me:secret@server/mlflow"}, "MLFLOW_TRACKING_PASSWORD"),
        ({"register": "a/b"}, "letters, digits, space"),
        ({"register": "digits", "upload": "reference"}, "tracking.upload=files"),
    ],
)
def test_what_cannot_be_tracked_so_is_refused_without_the_password(
    changes: dict[str, str], said: str
) -> None:
    with pytest.raises(ParamsError, match=said) as caught:
        Tracking(**SECTIONS["tracking"] | changes)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_regression_has_a_scatter_in_place_of_the_confusion_matrix(repository: Path) -> None:
    decision = {"output": "logits", "target": "label", "classes": None}
    make_model(SCHEMA | {"predictions": decision})
    run = client(repository).get_run(log()["run_id"])
    plots = repository / "mlartifacts" / run.info.run_id / "artifacts/plots"
    assert (plots / "predicted_against_actual.png").read_bytes().startswith(PNG)
    assert not (plots / "confusion_matrix.png").exists()


def test_the_same_complete_model_is_logged_once_and_another_one_again(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = log()
    content = OUTPUTS["report"].read_bytes()
    OUTPUTS["report"].unlink()
    assert log() == first
    assert OUTPUTS["report"].read_bytes() == content
    assert len(runs(repository)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]
    assert first["run_id"] in lines[0] and "make ui" in lines[0]

    make_model(SCHEMA, "flavors: {other: {}}")
    assert log()["run_id"] != first["run_id"]
    assert len(runs(repository)) == 2


def test_an_attempt_that_was_killed_is_taken_up_and_finished(repository: Path) -> None:
    """On any machine: all that is logged may be logged again."""
    found = client(repository)
    experiment = found.create_experiment("digits", (repository / "mlartifacts").as_uri())
    digest = provenance.digest(OUTPUTS["complete_model"])
    tags = {KEY: digest, "host": "elsewhere"}
    half = found.create_run(experiment, tags=tags).info.run_id
    model = found.create_logged_model(experiment, source_run_id=half).model_id
    found.log_model_artifact(model, str(OUTPUTS["complete_model"] / "MLmodel"))
    found.log_param(half, "tracking.uri", "of the attempt")
    before = repository / f"mlartifacts/models/{model}/artifacts/MLmodel"
    written = before.stat().st_ino
    found.create_run(experiment, tags={KEY: digest}, start_time=int(time.time() * 1000) + 9)

    report = log()

    assert (report["run_id"], report["model_id"]) == (half, model)
    states = {
        (r.info.run_id == half, r.info.status, r.info.lifecycle_stage) for r in runs(repository)
    }
    assert states == {(True, "FINISHED", "active"), (False, "KILLED", "deleted")}
    assert before.stat().st_ino == written, "what the store has was sent again"
    assert (before.parent / "provenance.json").is_file()
    assert found.get_run(half).data.params["tracking.uri"] == "of the attempt"


def test_of_two_that_finish_at_the_same_moment_one_run_is_left(repository: Path) -> None:
    """One machine has found its own run finished and the other's not, which then finishes too."""
    from mlflow import MlflowClient

    log()
    one, (run,) = client(repository), runs(repository)
    experiment, digest = run.info.experiment_id, run.data.tags[KEY]
    first = run.info.start_time - 1
    other = one.create_run(experiment, start_time=first, tags={KEY: digest}).info.run_id

    class Slow(MlflowClient):
        def search_runs(self, *arguments: Any, **options: Any) -> Any:
            found = super().search_runs(*arguments, **options)
            if one.get_run(other).info.status == "RUNNING":
                one.set_terminated(other, "FINISHED")
                projection.find(one, experiment, digest)
            return found

    there = projection.find(Slow(f"sqlite:///{repository}/mlflow.db"), experiment, digest)
    assert there is not None and there.info.run_id == other
    active = [each for each in runs(repository) if each.info.lifecycle_stage == "active"]
    assert [each.info.run_id for each in active] == [other]


def test_a_run_that_all_have_removed_is_logged_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, there = client(repository), projection.find

    def find(*arguments: Any) -> Any:
        found = there(*arguments)
        if found and found.info.status == "FINISHED" and len(runs(repository)) == 1:
            remove.delete_run(found.info.run_id)
            return there(*arguments)
        return found

    monkeypatch.setattr(projection, "find", find)
    report = log(register="later")
    states = {r.info.run_id: (r.info.status, r.info.lifecycle_stage) for r in runs(repository)}
    assert len(states) == 2 and states[report["run_id"]] == ("FINISHED", "active")
    versions = remove.search_model_versions("name = 'later'")
    assert [version.run_id for version in versions] == [report["run_id"]]


def test_an_attempt_that_fell_at_any_request_becomes_the_same_run(
    repository: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    proxy.set("")
    log(uri=proxy.uri, experiment="whole", register="whole")
    requests = proxy.requests
    _, (whole,) = held(proxy.server.store, "whole", proxy.server.files)
    for sound in range(0, requests, 3):
        proxy.set("500", sound=sound)
        with pytest.raises(PipelineError, match="nothing is lost"):
            log(uri=proxy.uri, experiment=f"fell {sound}", register=f"fell {sound}")
        proxy.set("")
        log(uri=proxy.uri, experiment=f"fell {sound}", register=f"fell {sound}")
        states, (run,) = held(proxy.server.store, f"fell {sound}", proxy.server.files)
        assert states == [("FINISHED", "active")], sound
        assert run == whole, sound


def test_an_error_while_logging_leaves_the_run_failed_and_the_next_attempt_finishes(
    repository: Path,
) -> None:
    history = OUTPUTS["train"] / "history.csv"
    content = history.read_text()
    history.write_text("epoch,not=allowed\n1,2\n")
    with pytest.raises(PipelineError, match="not=allowed") as caught:
        log()
    assert "\n" not in str(caught.value)
    assert [run.info.status for run in runs(repository)] == ["FAILED"]

    history.write_text(content)
    log()
    assert [run.info.status for run in runs(repository)] == ["FINISHED"]


def test_a_copy_of_the_repository_logs_to_the_real_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "echt"))
    (tmp_path / "echt").mkdir()
    report = log(uri="sqlite:///store/runs.db")
    real = tmp_path / "echt/store"
    assert report["tracking_uri"] == f"sqlite:///{real}/runs.db"
    assert (real / "mlartifacts" / report["run_id"] / "artifacts/params.yaml").is_file()
    assert not (repository / "mlartifacts").exists()
    from mlflow import MlflowClient

    default = MlflowClient(report["tracking_uri"]).get_experiment("0")
    assert default.artifact_location.startswith((real / "mlartifacts").as_uri())


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "file:///nowhere", "nonsense"])
def test_a_store_that_cannot_be_used_is_one_line(
    repository: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PipelineError, match=r"tracking\.uri") as caught:
        log(uri=uri)
    said = str(caught.value)
    assert "\n" not in said
    assert "nothing is lost" in said and "run `dvc repro`" in said


def test_a_server_that_never_answers_is_given_up_as_soon_as_the_user_says(repository: Path) -> None:
    """Without the user's word after three times ten seconds."""
    silent = socket.create_server(("127.0.0.1", 0))
    tracking = {**SECTIONS["tracking"], "uri": f"http://127.0.0.1:{silent.getsockname()[1]}"}
    (repository / "params.yaml").write_text(json.dumps({**SECTIONS, "tracking": tracking}))
    user = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    began = time.monotonic()
    out, err = start(repository, **user).communicate(timeout=300)
    assert time.monotonic() - began < 28, "the user's settings were not used"
    assert out == "" and err.count("\n") == 1, (out, err)
    assert "Read timed out. (read timeout=1)" in err and "nothing is lost" in err
    silent.close()


def test_what_mlflow_would_wait_for_is_bounded(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.environment_variables import (
        MLFLOW_HTTP_REQUEST_MAX_RETRIES,
        MLFLOW_HTTP_REQUEST_TIMEOUT,
        MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER,
    )

    for name in mlflow_requests.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    before = MLFLOW_HTTP_REQUEST_TIMEOUT.get() * (1 + MLFLOW_HTTP_REQUEST_MAX_RETRIES.get())
    with store.opened(store.locate(None)):
        tries = 1 + MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
        assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() * tries <= 30 < before
        assert not MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER.get()
        (repository / "big").mkdir()
        with (repository / "big/file").open("wb") as file:
            file.truncate(1 << 30)
        seconds = mlflow_requests.for_files(repository / "big")
        with mlflow_requests.patience(seconds):
            assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == seconds == 10 + 32 + 64
        assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 10


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with serving(tmp_path_factory.mktemp("server") / "store") as server, before(server) as proxy:
        yield proxy


def test_every_answer_lost_once_leaves_one_run_and_one_model(
    repository: Path, proxy: Proxy
) -> None:
    """Each request reaches the server twice."""
    proxy.set("lost")
    report = log(uri=proxy.uri, experiment="lost")
    assert proxy.struck > 20
    proxy.set("")
    states, (run,) = held(proxy.server.store, "lost", proxy.server.files)
    assert [status for status, stage in states if stage == "active"] == ["FINISHED"]
    assert all(status != "RUNNING" for status, _ in states)
    assert [(name, step) for name, step, _ in run.metrics if name == "train/loss"] == [
        ("train/loss", 1),
        ("train/loss", 2),
    ]
    assert [state for state, *_ in run.models] == ["READY"]
    assert log(uri=proxy.uri, experiment="lost") == report


def test_an_upload_takes_as_long_as_bytes_move(
    repository: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    make_model(SCHEMA, "flavors: {}" + " " * 3_000_000)
    proxy.set("slow")
    began = time.monotonic()
    log(uri=proxy.uri, experiment="slow")
    assert time.monotonic() - began > 8
    proxy.set("")


def test_a_refused_upload_is_one_line_and_the_next_attempt_finishes(
    repository: Path, proxy: Proxy
) -> None:
    proxy.set("403")
    with pytest.raises(PipelineError, match="403.*nothing is lost") as caught:
        log(uri=proxy.uri, experiment="refused")
    assert "\n" not in str(caught.value) and proxy.struck == 1
    proxy.set("")
    log(uri=proxy.uri, experiment="refused")
    states, runs = held(proxy.server.store, "refused", proxy.server.files)
    assert states == [("FINISHED", "active")] and len(runs) == 1


def test_four_processes_at_once_share_a_fresh_store(repository: Path, tmp_path: Path) -> None:
    (repository / "mlflow.db").unlink()
    copies = [tmp_path / f"copy {n}" for n in range(4)]
    for n, copy in enumerate(copies):
        shutil.copytree(repository, copy)
        (copy / OUTPUTS["complete_model"] / "MLmodel").write_text(f"flavors: {{n{n}: {{}}}}")
        os.chdir(copy)
        make(OUTPUTS["complete_model"], {}, "complete_model")
        make_report()
    os.chdir(repository)
    started = [start(copy, DVC_ROOT=str(repository)) for copy in copies]
    ended = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * 4, ended
    assert all(len(out.splitlines()) == 1 and err == "" for out, err in ended), ended
    assert [run.info.status for run in runs(repository)] == ["FINISHED"] * 4


def test_the_stage_loads_no_framework_and_not_pandas(repository: Path) -> None:
    script = (
        "import os, runpy, sys\n"
        "unwanted = ('torch', 'tensorflow', 'pandas', 'sklearn', 'matplotlib.pyplot')\n"
        "leave = os._exit\n"
        "def tell(code):\n"
        "    print([m for m in unwanted if m in sys.modules], flush=True)\n"
        "    leave(code)\n"
        "os._exit = tell\n"
        "runpy.run_module('pipeline.log_to_mlflow', run_name='__main__')\n"
    )
    options = [x for k, v in OUTPUTS.items() for x in (f"--{k.replace('_', '-')}", str(v))]
    done = subprocess.run(
        [sys.executable, "-c", script, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"complete_model": "0" * 64}, "is about the complete model 000"),
        ({"passed": False}, "did not pass; nothing is logged"),
    ],
)
def test_a_model_without_its_own_passed_report_is_not_logged(
    repository: Path, changes: dict, said: str
) -> None:
    make_report(**changes)
    with pytest.raises(PipelineError, match=said):
        log()
    assert runs(repository) == []


def test_leaves_are_named_as_in_the_file() -> None:
    values = {"a": {"b": True, "c": {}}, "d": [1, None], "e": "text", "f @": 0.1}
    assert as_mlflow_params(values) == {
        "a.b": "true",
        "a.c": "{}",
        "d": "[1, null]",
        "e": "text",
        "f _": "0.1",
    }


def test_a_report_without_measurements_gives_the_verdict_alone() -> None:
    assert verdict({"passed": False}) == {}
    assert verdict({"passed": True, "formats": {"onnx": {}}}) == {}
