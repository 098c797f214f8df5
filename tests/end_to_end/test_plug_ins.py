"""A framework, a format and a check, a file or a folder each: that is all it takes to add one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testing.project import ROOT, Project, make_project

PLUG_INS = ROOT / "testing/plug_ins"
PLACES = {
    "frameworks/arithmetic.py": "pipeline/frameworks/arithmetic.py",
    "formats/matrix": "pipeline/formats/matrix",
    "verification/checks/small.py": "pipeline/verification/checks/small.py",
    "softmax.py": "models/softmax.py",
    "softmax.yaml": "conf/model/softmax.yaml",
}
RUN = ("python", "-m", "pipeline", "experiment=smoke", "model=softmax", "train.epochs=3")
CHECKS = "verify.checks=[integrity,self_contained,parity,sensitivity,metrics,small]"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one more of each, after the whole pipeline ran with them."""
    project = make_project(tmp_path_factory.mktemp("extended") / "project")
    ignored = shutil.ignore_patterns("__pycache__")
    for source, target in PLACES.items():
        if (PLUG_INS / source).is_dir():
            shutil.copytree(PLUG_INS / source, project.root / target, ignore=ignored)
        else:
            shutil.copyfile(PLUG_INS / source, project.root / target)
    project.commit("a framework, a format and a check")
    project.run(*RUN, CHECKS, "train.lr=0.5")
    return project


def test_the_pipeline_runs_with_them(extended: Project) -> None:
    report = json.loads(extended.read("reports/verify.json"))
    assert report["passed"] and list(report["formats"]) == ["matrix"]
    assert report["formats"]["matrix"]["max_abs_diff"] == 0
    assert report["checks"]["small"]["measured"] == {"matrix": 64 * 10 * 4}
    assert report["checks"]["small"]["about"].startswith("Every format's weights are small")
    metrics = json.loads(extended.read("artifacts/checkpoint/metrics.json"))
    assert metrics["test/accuracy"] > 0.8
    assert json.loads(extended.read("reports/mlflow.json"))["run_id"]


def test_what_leaves_loads_with_numpy_alone(extended: Project, tmp_path: Path) -> None:
    model = Path(shutil.copytree(extended.root / "artifacts/complete-model", tmp_path / "model"))
    card = (model / "README.md").read_text()
    block = card.split("```python\n")[1].split("```")[0]
    only_numpy = "import sys\nassert not {'torch', 'tensorflow', 'pipeline'} & set(sys.modules)\n"
    command = [sys.executable, "-I", "-c", block + only_numpy]
    done = subprocess.run(command, cwd=model, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_stranger_can_examine_it(extended: Project) -> None:
    said = extended.run("python", "-m", "pipeline.examine", "artifacts/complete-model").stdout
    assert "answers: matrix" in said and "passed all of this" in said


def test_a_format_that_imports_one_of_ours_fails_the_verification(extended: Project) -> None:
    """So the copy in which it runs has nothing else of ours."""
    file = extended.root / "pipeline/formats/matrix/load.py"
    file.write_text(f"import pipeline.errors\n{file.read_text()}")
    said = extended.run("dvc", "repro", "verify", check=False)
    assert said.returncode != 0
    assert "pipeline is refused: the model's source" in said.stdout


def test_a_name_that_is_not_there_lists_those_that_are(extended: Project) -> None:
    done = extended.run(*RUN, "export.formats=[plain_zip]", check=False)
    assert done.returncode == 1 and "matrix" in done.stdout and done.stdout.count("\n") == 1
