"""A project that ran with an older version of the code, and what was made in it, stay usable.

older/<month>.tar.xz hold the .git and .dvc of a project with one run, as they were then.
"""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline import provenance
from pipeline.config.yaml_text import load_yaml
from testing.project import PARTS, ROOT, Project

ARCHIVES = sorted(Path(__file__).with_name("older").glob("*.tar.xz"))
MODEL = "artifacts/complete-model"


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with all its artifacts, and the code of today on top of its last commit."""
    root = tmp_path_factory.mktemp("older") / "project"
    with tarfile.open(request.param) as archive:
        archive.extractall(root, filter="data")
    project = Project(root)
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout", "--quiet")
    shutil.rmtree(root / "pipeline")
    for part in (*PARTS, ".gitignore"):
        if part in ("params.yaml", "conf.lock.yaml"):
            continue  # these are the user's
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, root / part, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copyfile(source, root / part)
    project.commit("the code of today")
    shutil.copytree(root / MODEL, root.parent / "mailed")
    return project


@pytest.fixture
def mailed(older: Project, tmp_path: Path) -> Path:
    """The complete model as it was made then, away from its project."""
    return Path(shutil.copytree(older.root.parent / "mailed", tmp_path / "mailed"))


def test_its_complete_model_is_traced_and_nothing_contradicted(older: Project) -> None:
    done = older.run("python", "-m", "pipeline.trace", MODEL, "--json", check=False)
    counts = json.loads(done.stdout)["counts"]
    assert done.returncode == 0
    assert counts["contradicted"] == 0 and counts["verified"] > 15


def test_its_complete_model_is_examined(older: Project, mailed: Path) -> None:
    said = older.run("python", "-m", "pipeline.examine", str(mailed)).stdout
    assert "passed all of this" in said and "trains on: torch_export" in said


def test_its_complete_model_is_verified_as_it_lies(older: Project) -> None:
    params = older.read("params.yaml")
    older.run("dvc", "repro", "compose")
    command = load_yaml(older.read("dvc.yaml"), "dvc.yaml")["stages"]["verify"]["cmd"]
    said = older.run(*command.replace("reports/verify.json", "reports/again.json").split()).stdout
    assert "continuation: passed" in said and "FAILED" not in said
    (older.root / "params.yaml").write_text(params)
    older.run("git", "checkout", "--", "params.yaml", "conf.lock.yaml", "dvc.lock")


def test_its_stages_are_made_again(older: Project) -> None:
    """To the same bytes, but for statements that name packages which were not there then; on a
    processor that rounds otherwise than theirs, to the same values but for rounding."""
    words = ("python", "-m", "pipeline.reproduce", "artifacts/checkpoint", "--json")
    done = older.run(*words, check=False, fresh=True)
    made = json.loads(done.stdout[done.stdout.index("{") :])
    assert [each["stage"] for each in made["stages"]] == ["prepare", "train", "checkpoint"]
    verdicts = {each["verdict"] for each in made["stages"]}
    assert verdicts <= {"same bytes", "same content", "within tolerance"}, made["stages"]


def test_its_run_is_logged_again(older: Project) -> None:
    said = older.run("python", "-m", "pipeline.relog").stdout
    assert "1 made" in said


def test_the_code_of_today_makes_what_that_code_made(older: Project, mailed: Path) -> None:
    """Another processor may round otherwise, so values are close and sizes equal; what says how
    targets are called is longer."""
    older.run("dvc", "repro", "export-complete")
    now = older.root / MODEL
    assert provenance.files(now) == provenance.files(mailed)
    for name in ("model.onnx", "optimizer.pt", "MLmodel"):
        assert (now / name).stat().st_size == (mailed / name).stat().st_size, name
    members = [sizes(directory / "model.pt2") for directory in (now, mailed)]
    assert members[0] == members[1] and len(members[0]) > 10
    schema, before = (json.loads((each / "schema.json").read_text()) for each in (now, mailed))
    same = before.keys() - {"target"}
    assert {key: schema[key] for key in same} == {key: before[key] for key in same}
    assert before["target"].items() <= schema["targets"]["target"].items()
    for name in ("one", "seven", "training"):
        with (
            np.load(now / f"examples/{name}.npz") as made,
            np.load(mailed / f"examples/{name}.npz") as then,
        ):
            names = {key: "target.target" if key == "target" else key for key in then.files}
            assert set(made.files) - set(names.values()) <= {"val_loss"}
            for key, name in names.items():
                np.testing.assert_allclose(made[name], then[key], rtol=1e-4, atol=1e-5)


def sizes(archive: Path) -> dict[str, int]:
    """The bytes of each member but the one that names inputs, outputs and targets."""
    with zipfile.ZipFile(archive) as opened:
        found = {each.filename: each.file_size for each in opened.infolist()}
    del found["model/extra/signature.json"]
    return found


def with_names(older: Project) -> None:
    """The user's own data and model as those of today, which are composed with them."""
    file = older.root / "conf/data/clusters.yaml"
    then, now = "target:\n  source: label\n  classes: 3", "label: {source: label, classes: 3}"
    assert then in file.read_text()
    file.write_text(file.read_text().replace(then, f"targets:\n  {now}"))
    model = older.root / "conf/model/small.yaml"
    model.write_text(model.read_text().replace("data.target.", "data.targets.label."))


def test_its_complete_model_is_trained_on(older: Project, mailed: Path) -> None:
    with_names(older)
    command = ("python", "-m", "pipeline.resume", str(mailed), "data=clusters", "train.epochs=1")
    older.run(*command, "train.batch_size=8", "checkpoint.many=8")
    report = json.loads(older.read("reports/verify.json"))
    assert report["passed"]
    assert len(list((older.root / MODEL / "lineage/parents").iterdir())) == 1
