"""A folder of PNGs goes from the files to an answer of the complete model, in both frameworks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from testing.project import Project, make_project
from testing.shared import shared

STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify", "log-to-mlflow")
QUICK = ("train.epochs=4", "checkpoint.many=16", "export.attempt=[onnx]")
ANSWERS = """
import sys
import mlflow, numpy
from PIL import Image
model = mlflow.pyfunc.load_model("complete-model")
pixels = numpy.stack([numpy.array(Image.open(file)) for file in sys.argv[1:]])
answers = model.predict({"picture": pixels})
numpy.save("answers.npy", next(iter(answers.values())))
"""


@pytest.fixture(scope="module", params=["torch_images", "keras_images"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    def make(folder: Path) -> None:
        project = make_project(folder / "project")
        project.run("python", "data/arrows.py")
        project.params("experiment=images", f"model={request.param}", *QUICK)
        for name in STAGES:
            project.stage(name)

    return Project(shared(tmp_path_factory, request.param, make) / "project")


def test_it_is_verified_and_keeps_pixels_of_8_bits(project: Project) -> None:
    report = json.loads(project.read("reports/verify.json"))
    assert report["passed"] and {"continuation", "self_contained"} <= report["checks"].keys()
    schema = json.loads(project.read("artifacts/complete-model/schema.json"))
    assert schema["inputs"] == {"picture": {"dtype": "uint8", "shape": [20, 20, 3]}}
    assert schema["targets"]["way"]["labels"] == ["down", "left", "right", "up"]
    assert sum(json.loads(project.read("artifacts/data/schema.json"))["rows"].values()) == 240


def test_files_are_answered_without_the_source_as_the_trained_model_answered(
    project: Project, tmp_path: Path
) -> None:
    """The reference's first rows are those of the test split, whose files have the same pixels."""
    from PIL import Image

    files = {np.array(Image.open(p)).tobytes(): p for p in project.root.glob("data/arrows/*/*")}
    with np.load(project.root / "artifacts/checkpoint/reference/seven.npz") as seven:
        pixels = seven["input.picture"]
        expected = next(seven[name] for name in seven.files if name.startswith("output."))
    paths = [str(files[row.tobytes()]) for row in pixels]
    shutil.copytree(project.root / "artifacts/complete-model", tmp_path / "complete-model")
    (tmp_path / "answers.py").write_text(ANSWERS)
    Project(tmp_path).run("python", "answers.py", *paths)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), expected, rtol=1e-3, atol=1e-4)


def arrays(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.root.glob("artifacts/data/*/*/*.npy")}


def test_the_same_files_are_the_same_bytes(project: Project, copy_of) -> None:
    other = copy_of(project)
    before = arrays(other)
    other.stage("prepare")
    assert len(before) == 6 and arrays(other) == before


def test_the_function_that_writes_the_files_gives_the_same_rows_by_itself(
    project: Project, copy_of
) -> None:
    other = copy_of(project)
    before = rows(other)
    shutil.rmtree(other.root / "data/arrows")
    other.params("experiment=images", "data=arrows_drawn")
    other.stage("prepare")
    assert len(before) == 240 and rows(other) == before


def rows(project: Project) -> dict[bytes, int]:
    """Pixels -> label."""
    found: dict[bytes, int] = {}
    for split in ("train", "val", "test"):
        folder = project.root / "artifacts/data" / split
        labels = np.load(folder / "targets/way.npy").tolist()
        pictures = np.load(folder / "inputs/picture.npy")
        found |= {row.tobytes(): label for row, label in zip(pictures, labels, strict=True)}
    return found


def test_a_broken_picture_ends_before_the_training_in_one_line(project: Project, copy_of) -> None:
    other = copy_of(project)
    broken = next(other.root.glob("data/arrows/left/*"))
    broken.write_bytes(broken.read_bytes()[:300])
    done = other.stage("prepare", check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(f"error: prepare: data/arrows/left/{broken.name}: broken")
    assert done.stdout.count("\n") == 1 and not (other.root / "artifacts/data").exists()
