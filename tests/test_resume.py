"""A complete model is trained on with none of its source, and what comes out names its parent."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import provenance
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import IncompleteArtifact
from pipeline.provenance import lineage
from pipeline.run.parent import training_format
from testing.project import ROOT, TINY, Project, make_project

WRITE_PARAMS = """
import sys
from pathlib import Path
from pipeline.config.merge import with_own, write_lock
from pipeline.resume import remembered, store_parent, values
from pipeline.config.yaml_text import dump_yaml
overrides = sys.argv[2:]
params, _ = values(store_parent(Path(sys.argv[1])), overrides)
Path("params.yaml").write_text(dump_yaml(params))
write_lock(Path("conf.lock.yaml"), with_own(remembered(params, overrides), params))
"""
STAGES = ("prepare", "train", "checkpoint", "export-complete")
LAST_EPOCH = ("checkpoint.metric=train/loss", "checkpoint.mode=min")


def made_with(project: Project, *overrides: str) -> Path:
    """A copy of the complete model that the stages make, DVC left out."""
    project.params(*overrides)
    return made(project)


def resumed(project: Project, parent: Path, *overrides: str) -> Path:
    project.script(WRITE_PARAMS, str(parent), *overrides)
    return made(project)


def made(project: Project) -> Path:
    for name in STAGES:
        project.stage(name)
    return copied(project)


def copied(project: Project) -> Path:
    """The complete model, in a folder named by its digest beside the project."""
    complete_model = project.root / "artifacts/complete-model"
    kept = project.root.parent / provenance.digest(complete_model)
    return kept if kept.is_dir() else Path(shutil.copytree(complete_model, kept))


def parent_of(complete_model: Path) -> str | None:
    """The digest that the statement names, as parameter and as dependency."""
    definition = provenance.read(complete_model)["predicate"]["buildDefinition"]
    parent = definition["externalParameters"]["params"]["train"]["parent"]
    deps = {dep["name"]: dep["digest"].get("sha256") for dep in definition["resolvedDependencies"]}
    named = {name: digest for name, digest in deps.items() if name.startswith("parents/")}
    assert named == ({f"parents/{parent}": parent} if parent else {})
    return parent


def test_a_chain_of_three_leads_back_to_the_first_and_each_is_verified_and_logged(
    project: Project, tmp_path: Path
) -> None:
    """By the command that a user types, without the source from the second on."""
    project.run("python", "-m", "pipeline", *TINY)
    chain = []
    for _ in range(3):
        found = project.root / "artifacts/complete-model"
        digest = provenance.digest(found)
        chain.append(Path(shutil.copytree(found, tmp_path / digest)))
        report = json.loads(project.read("reports/verify.json"))
        assert report["passed"] and report["complete_model"] == digest
        assert report["checks"]["continuation"]["measured"]["torch_export"]["steps"] == 6
        assert json.loads(project.read("reports/mlflow.json"))["complete_model"] == digest
        if len(chain) == 1:
            (project.root / "models/torch_mlp.py").unlink()
            (project.root / "conf/model/torch_mlp.yaml").unlink()
            config = project.root / "conf/config.yaml"
            text = config.read_text().replace("torch_mlp", "torch_cnn")
            config.write_text(text.replace("data: digits", "data: shapes_boxes"))
        if len(chain) < 3:
            split = f"data.split.seed={len(chain)}"
            attempt = "export.attempt=[onnx]" if len(chain) == 2 else "export.attempt=[]"
            given = (str(chain[-1]), split, "train.epochs=1", attempt)
            done = project.run("python", "-m", "pipeline.resume", *given)
            assert "verified: passed" in done.stdout
            assert "\ndata: digits, as it was trained with, byte for byte\n" in done.stdout
    first, second, third = chain
    assert [parent_of(each) for each in chain] == [None, first.name, second.name]
    kept = project.root / "parents" / str(parent_of(third))
    assert provenance.faults(kept) == []
    assert provenance.digest(project.root / "parents" / str(parent_of(kept))) == first.name
    alone = lineage.nodes(third)
    assert {first.name, second.name, third.name} < set(alone)
    assert [node.stage for node in alone.values()].count("train") == 3
    schema = json.loads((third / "schema.json").read_text())
    assert schema["epochs_before"] == json.loads((second / "schema.json").read_text())["epoch"] + 2
    assert provenance.params(third)["model"]["name"] == "torch_mlp"
    assert json.loads((third / "formats.json").read_text())["held"] == ["torch_export", "onnx"]
    again = project.run("dvc", "repro").stdout
    assert "Data and pipelines are up to date" in again


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=torch_cnn", "model.scheduler=null", "train.clip_norm=1.0"),
        ("model=keras_functional", "model.scheduler=null", "train.clip_norm=1.0"),
        (
            *("model=torch_cnn", "model.scheduler.T_max=99", "train.schedule_by=step"),
            *("train.averaging={kind: ema, decay: 0.9}", "train.accumulate=2"),
            *("train.precision=float16", "train.freeze=[features.1]", "train.keep=1"),
        ),
        (
            *("model=keras_functional", "model.scheduler.decay_steps=99"),
            "train.schedule_by=step",
            *("train.averaging={kind: swa, start: 2}", "train.accumulate=2", "train.keep=1"),
        ),
    ],
    ids=["torch", "keras", "torch, all at once", "keras, all at once"],
)
def test_resumed_for_two_epochs_it_is_what_four_epochs_make(
    tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    """Weights, batch norm, optimizer and dropout, bit for bit, with the source gone."""
    project = make_project(tmp_path / "project")
    settings = ("experiment=smoke", "export.attempt=[]", *LAST_EPOCH, *overrides)
    project.params(*settings, "train.epochs=4")
    for name in STAGES[:-1]:
        project.stage(name)
    whole = dict(np.load(project.root / "artifacts/checkpoint/reference/trained.npz"))
    half = made_with(project, *settings, "train.epochs=2")
    for source in (project.root / "models").glob("*.py"):
        source.unlink()
    again = resumed(project, half, "train.epochs=2", "export.attempt=[]", *LAST_EPOCH)
    parts = dict(np.load(project.root / "artifacts/checkpoint/reference/trained.npz"))
    assert len(whole) > 20 and set(whole) == set(parts)
    assert [name for name in whole if whole[name].tobytes() != parts[name].tobytes()] == []
    assert parent_of(again) == half.name
    history = (project.root / "artifacts/train/history.csv").read_text().splitlines()
    assert len(history) == 3 and "val/loss" in history[0]
    project.stage("verify")


@pytest.fixture(scope="module")
def plain(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    """Copy the project before it is changed."""
    root = tmp_path_factory.mktemp("plain") / "project"
    project = trained.copied(root)
    return project, copied(project)


def refused(project: Project, *arguments: str) -> str:
    done = project.run("python", "-m", "pipeline.resume", *arguments, check=False)
    assert done.returncode == 1
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("error: ")]
    return line


def test_what_is_no_complete_model_is_refused(plain: tuple[Project, Path], tmp_path: Path) -> None:
    project, whole = plain
    before = project.read("params.yaml")
    assert refused(project, str(tmp_path)) == (
        f"error: resume: statement: {tmp_path}/provenance.json: missing, so the directory is not "
        "complete; do not load it"
    )
    changed = Path(shutil.copytree(whole, tmp_path / "changed"))
    (changed / "README.md").write_text("Another.\n")
    assert "README.md: changed" in refused(project, str(changed))
    checkpoint = project.root / "artifacts/checkpoint"
    assert "is what checkpoint made, expected a complete model" in refused(project, str(checkpoint))
    assert project.read("params.yaml") == before
    assert not (project.root / "parents").exists()


def reruns(project: Project, change: Path) -> set[str]:
    """The stages up to `checkpoint` that DVC runs again after a change of this file."""
    change.write_text(change.read_text() + "\n# Another.\n")
    said = project.run("dvc", "repro", "checkpoint").stdout
    return {name for name in STAGES if f"Running stage '{name}'" in said}


def test_the_code_of_a_format_trains_anew_only_what_is_trained_on_in_it(project: Project) -> None:
    form = project.root / "pipeline/formats/torch_export/train.py"
    project.params(*TINY)
    project.run("dvc", "repro", "export-complete")
    lock = project.read("conf.lock.yaml")
    assert reruns(project, form) == set()
    assert project.read("conf.lock.yaml") == lock
    project.script(WRITE_PARAMS, "artifacts/complete-model", "train.epochs=1")
    project.run("dvc", "repro", "checkpoint")
    definition = provenance.read(project.root / "artifacts/train")["predicate"]["buildDefinition"]
    named = [dependency["name"] for dependency in definition["resolvedDependencies"]]
    assert {"pipeline/formats/torch_export", "pipeline/formats/__init__.py"} < set(named)
    assert not {"pipeline/formats", "pipeline/formats/onnx"} & set(named)
    assert reruns(project, form.parents[1] / "onnx/load.py") == set()
    assert reruns(project, form) == {"train", "checkpoint"}


class Payload:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_one_from_elsewhere_that_would_run_code_is_refused_before_it_is_kept(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    project, whole = plain
    hostile, marker = Path(shutil.copytree(whole, tmp_path / "hostile")), tmp_path / "marker"
    (hostile / "optimizer.pt").write_bytes(pickle.dumps(Payload(marker)))
    definition = provenance.read(hostile)["predicate"]["buildDefinition"]
    provenance.write(hostile, definition)
    assert refused(project, str(hostile)).startswith("error: resume: formats: torch_export: ")
    assert not marker.exists()
    assert not (project.root / "parents").exists()


def test_one_that_was_exported_to_predict_only_is_refused(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    project, _ = plain
    copy = project.copied(tmp_path / "copy")
    copy.params(*TINY, "export.train=false")
    copy.stage("export-complete")
    line = refused(copy, str(copy.root / "artifacts/complete-model"))
    assert line.endswith("cannot be trained on; export it again with export.train=true")
    assert not (copy.root / "parents").exists()


def test_one_that_trains_in_a_format_without_evaluation_alone_is_refused(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    """A step as ONNX tells the loss of a step, not that of the validation split."""
    _, whole = plain
    kept = json.loads((whole / "formats.json").read_text())
    (tmp_path / "formats.json").write_text(json.dumps(kept | {"trains": ["onnx_train"]}))
    with pytest.raises(IncompleteArtifact, match="cannot be trained on"):
        training_format(tmp_path)
    both = kept | {"trains": ["onnx_train", "torch_export"]}
    (tmp_path / "formats.json").write_text(json.dumps(both))
    assert training_format(tmp_path) == "torch_export"


def test_an_experiment_s_values_are_taken_and_the_parent_s_otherwise(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    project, whole = plain
    copy = project.copied(tmp_path / "copy")
    (copy.root / "conf/experiment/long.yaml").write_text(
        "# @package _global_\ntrain:\n  epochs: 7\n"
    )
    copy.script(WRITE_PARAMS, str(whole), "experiment=long")
    train = load_yaml(copy.read("params.yaml"), "params.yaml")["train"]
    assert (train["epochs"], train["batch_size"]) == (7, 128)


def test_without_dvc_to_track_it_one_line_says_so(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    project, whole = plain
    copy = project.copied(tmp_path / "copy")
    shutil.rmtree(copy.root / ".dvc")
    assert "DVC does not track it" in refused(copy, str(whole))


def test_the_model_itself_cannot_be_overridden(plain: tuple[Project, Path]) -> None:
    project, whole = plain
    line = refused(project, str(whole), "model=torch_cnn")
    assert line.startswith("error: resume: model: the model is the complete model's")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data=parcels", "data.inputs: found "),
        ("train.clip_norm=0.5", "train.clip_norm: found 0.5, but parents/"),
    ],
)
def test_what_does_not_fit_the_complete_model_is_refused_by_name(
    plain: tuple[Project, Path], tmp_path: Path, override: str, told: str
) -> None:
    project, whole = plain
    copy = project.copied(tmp_path / "copy")
    copy.script(WRITE_PARAMS, str(whole), override)
    copy.stage("prepare")
    done = copy.stage("train", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith(f"error: train: {told}")


def test_a_lower_learning_rate_is_taken(plain: tuple[Project, Path], tmp_path: Path) -> None:
    project, whole = plain
    copy = project.copied(tmp_path / "copy")
    slow = resumed(copy, whole, "train.lr=1e-5", "train.epochs=1", "export.attempt=[]")
    moved = np.load(copy.root / "artifacts/checkpoint/reference/seven.npz")["output.logits"]
    before = np.load(project.root / "artifacts/checkpoint/reference/seven.npz")["output.logits"]
    assert 0 < np.abs(moved - before).max() < 0.05
    assert provenance.params(slow)["train"]["lr"] == 1e-5


def test_a_parent_that_was_changed_is_told_before_any_work(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    project, whole = plain
    copy = project.copied(tmp_path / "copy")
    copy.script(WRITE_PARAMS, str(whole))
    kept = copy.root / "parents" / whole.name
    (kept / "README.md").chmod(0o644)
    (kept / "README.md").write_text("Another.\n")
    done = copy.stage("train", check=False)
    assert done.stdout.startswith(f"error: train: parents/{whole.name}/README.md: changed")
    shutil.rmtree(kept)
    done = copy.stage("train", check=False)
    assert f"error: train: parents/{whole.name}: missing; fetch it with `dvc pull" in done.stdout


def test_a_parent_that_no_resume_has_screened_is_screened_by_the_stage(
    plain: tuple[Project, Path], tmp_path: Path
) -> None:
    """It can have come with a clone, under its right digest."""
    project, whole = plain
    copy = project.copied(tmp_path / "copy")
    copy.script(WRITE_PARAMS, str(whole))
    marker, hostile = tmp_path / "marker", Path(shutil.copytree(whole, tmp_path / "hostile"))
    (hostile / "optimizer.pt").write_bytes(pickle.dumps(Payload(marker)))
    (hostile / "MLmodel").write_text("flavors: {python_function: {loader_module: planted}}\n")
    provenance.write(hostile, provenance.read(hostile)["predicate"]["buildDefinition"])
    digest = provenance.digest(hostile)
    shutil.move(hostile, copy.root / "parents" / digest)
    params = copy.root / "params.yaml"
    params.write_text(params.read_text().replace(whole.name, digest))
    done = copy.stage("train", check=False)
    assert done.returncode == 1 and f"parents/{digest}/MLmodel: line 1" in done.stdout
    assert not marker.exists()


def test_generators_are_saved_within_an_epoch_of_a_model_that_is_trained_on() -> None:
    """They belong to the framework beneath, which knows nothing of the complete model."""
    import torch

    from pipeline.frameworks import pytorch
    from pipeline.training import parent as training_parent

    trainer: Any = None
    training = training_parent.Training(trainer, "torch_export", pytorch, [])
    before = training_parent.randomness(training)
    drawn = torch.rand(5)
    assert not torch.equal(torch.rand(5), drawn)
    training_parent.set_randomness(training, before)
    assert torch.equal(torch.rand(5), drawn)


def test_a_command_that_came_with_a_model_is_not_run():
    """Its parameters are a stranger's words, and a complete model trains on without it."""
    from pipeline.config import command_params, of_parent
    from pipeline.config.composition import compose_conf, interpolated

    recorded = interpolated(compose_conf(ROOT / "conf", ["train=command", "train.seed=7"]))
    recorded["train"] |= {"arguments": {"a": 1}, "code": ["x"], "checkpoint": "x", "history": "y"}
    parent = {name: recorded[name] for name in ("model", "train", "checkpoint")}
    train = of_parent.composed(ROOT / "conf", [], parent)[0]["train"]
    assert train["seed"] == 7
    assert {key: train[key] for key in command_params.KEYS} == {
        "command": None,
        "code": [],
        "arguments": {},
        "checkpoint": None,
        "history": None,
    }
