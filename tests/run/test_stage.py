"""What stage.main does around every stage."""

import fcntl
import itertools
import json
import os

import pytest

from pipeline import provenance
from testing.project import TINY


@pytest.fixture
def prepared(project):
    project.params(*TINY)
    project.stage("prepare")
    return project


def test_the_statement_names_exactly_the_stages_deps_and_params(prepared):
    from pipeline.config.yaml_text import load_yaml

    stages = load_yaml(prepared.read("dvc.yaml"), "dvc.yaml")["stages"]
    definition = provenance.read(prepared.root / "artifacts/data")["predicate"]["buildDefinition"]
    named = [dependency["name"] for dependency in definition["resolvedDependencies"]]
    assert named == ["git", *stages["prepare"]["deps"]]
    params = load_yaml(prepared.read("params.yaml"), "params.yaml")
    used = {section: params[section] for section in stages["prepare"]["params"]}
    assert definition["externalParameters"] == {"stage": "prepare", "params": used}


def test_an_input_that_was_never_made_names_the_stage_to_run(project):
    said = project.stage("train", check=False)
    assert said.returncode == 1
    assert said.stdout == "error: train: artifacts/data: missing; run `dvc repro prepare`\n"


def test_an_input_without_a_statement_is_refused(prepared):
    (prepared.root / "artifacts/data/provenance.json").unlink()
    said = prepared.stage("train", check=False)
    assert said.returncode == 1
    assert "artifacts/data/provenance.json: missing" in said.stdout
    assert "dvc repro --force prepare" in said.stdout
    assert not (prepared.root / "artifacts/train").exists()


def test_an_input_whose_bytes_changed_is_refused_and_named(prepared):
    path = prepared.root / "artifacts/data/val/targets/label.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said = prepared.stage("train", check=False)
    assert said.returncode == 1
    assert said.stdout.startswith(
        "error: train: artifacts/data/val/targets/label.npy: changed: sha256 is "
    )


@pytest.mark.parametrize(
    ("stage", "read", "unread"),
    [
        ("verify", "artifacts/checkpoint/metrics.json", "artifacts/checkpoint/checkpoint.pt"),
        ("log-to-mlflow", "artifacts/train/history.csv", "artifacts/train/epoch_0001.pt"),
    ],
)
def test_weights_that_a_stage_does_not_read_are_left_to_the_stage_that_does(
    trained, copy_of, stage, read, unread
):
    project = copy_of(trained)
    weights, other = project.root / unread, project.root / read
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    assert "changed" not in project.stage(stage, check=False).stdout
    reader = {"verify": "export-complete", "log-to-mlflow": "checkpoint"}[stage]
    assert f"{unread}: changed: sha256 is" in project.stage(reader, check=False).stdout
    other.write_text(f"{other.read_text()} ")
    assert f"{read}: changed: sha256 is" in project.stage(stage, check=False).stdout
    weights.unlink()
    assert f"{unread}: missing" in project.stage(stage, check=False).stdout


def test_a_second_writer_is_refused_and_told_the_first_ones_pid(prepared):
    with (prepared.root / "artifacts/.data.lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        said = prepared.stage("prepare", check=False)
    assert said.returncode == 1
    assert f"artifacts/data: process {os.getpid()} is writing it" in said.stdout


def test_a_failed_stage_leaves_no_statement(prepared):
    (prepared.root / "data/digits.csv").write_text("pixel_0,label\n1,2\n")
    said = prepared.stage("prepare", check=False)
    assert said.returncode == 1
    assert said.stdout.startswith("error: prepare: data/digits.csv: ")
    assert said.stdout.count("\n") == 1
    assert not (prepared.root / "artifacts/data/provenance.json").exists()


def test_running_a_stage_again_gives_the_same_bytes(prepared):
    before = prepared.read("artifacts/data/provenance.json")
    prepared.stage("prepare")
    assert prepared.read("artifacts/data/provenance.json") == before


def test_a_dirty_tree_leaves_its_patch_beside_the_artifact(prepared):
    model = prepared.root / "models/torch_mlp.py"
    model.write_text(model.read_text() + "# mine\n")
    prepared.stage("prepare")
    assert "+# mine" in prepared.read("artifacts/data/source.patch")
    definition = provenance.read(prepared.root / "artifacts/data")["predicate"]["buildDefinition"]
    digest = definition["resolvedDependencies"][0]["annotations"]["source.patch"]
    assert digest == provenance.digest(prepared.root / "artifacts/data/source.patch")


def test_statements_form_one_chain_from_the_complete_model_to_the_data(trained):
    chain = ["complete-model", "checkpoint", "train", "data"]
    for later, earlier in itertools.pairwise(chain):
        statement = provenance.read(trained.root / "artifacts" / later)
        dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        named = {d["name"]: d["digest"].get("sha256") for d in dependencies}
        expected = provenance.digest(trained.root / f"artifacts/{earlier}/provenance.json")
        assert named[f"artifacts/{earlier}"] == expected
    names = json.dumps(provenance.read(trained.root / "artifacts/data"))
    assert '"name": "data"' in names
