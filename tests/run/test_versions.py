"""What was made with other versions says so, once a run, and how it is made anew."""

import json
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.run import versions
from testing.project import Project

DATA = {"data": {"name": "digits"}}
TORCH = {"model": {"net": {"_target_": "models.a.A"}, "loss": {"_target_": "torch.nn.MSELoss"}}}
KERAS = {"model": {"net": {"_target_": "models.a.a"}, "loss": {"_target_": "keras.losses.MSE"}}}
OWN = {"model": {"net": {"_target_": "models.a.A"}, "loss": {"_target_": "models.a.Loss"}}}


def made_with(artifact: Path, **other: str) -> None:
    """Writes the artifact's statement anew, as if these had been installed."""
    definition = provenance.read(artifact)["predicate"]["buildDefinition"]
    environment = definition["internalParameters"]
    environment["python"] = other.pop("python", environment["python"])
    environment["packages"] |= other
    provenance.write(artifact, definition)


def artifact(place: Path, params: dict[str, object]) -> Path:
    place.mkdir()
    provenance.write(place, provenance.build_definition("some", params, [], {}))
    return place


@pytest.mark.parametrize(
    ("params", "counted"),
    [
        (DATA, ["numpy"]),
        (TORCH, ["numpy", "torch"]),
        (KERAS, ["keras", "numpy", "tensorflow"]),
        (OWN, ["keras", "numpy", "tensorflow", "torch"]),
    ],
    ids=["data", "torch", "keras", "own"],
)
def test_only_what_computes_counts(
    tmp_path: Path, params: dict[str, object], counted: list[str]
) -> None:
    made = artifact(tmp_path / "made", params)
    assert versions.differences(made) == []
    old = dict.fromkeys(("keras", "numpy", "pandas", "tensorflow", "torch"), "0.1")
    made_with(made, **old)
    assert [text.split()[0] for text in versions.differences(made)] == counted
    made_with(made, python="3.1.4", **old)
    here = provenance.environment()
    assert versions.differences(made)[0] == f"python 3.1.4 ({here['python']} here)"
    assert f"numpy 0.1 ({here['packages']['numpy']} here)" in versions.differences(made)


def test_a_statement_that_cannot_be_read_is_left_to_those_who_judge_it(tmp_path: Path) -> None:
    assert versions.differences(tmp_path) == []
    (tmp_path / "provenance.json").write_text('{"predicate": 1}')
    assert versions.differences(tmp_path) == []


def test_a_run_tells_of_it_once_and_the_summary_too(trained: Project, copy_of) -> None:
    """Of the data `train` tells, though `checkpoint` reads them as well."""
    project = copy_of(trained)
    made_with(project.root / "artifacts/data", numpy="1.26.4")
    here = provenance.environment()["packages"]["numpy"]
    line = f"artifacts/data was made with numpy 1.26.4 ({here} here); `dvc repro --force prepare`"
    said = project.stage("train").stdout
    assert f"train: {line} makes it anew\n" in said
    assert "was made with" not in project.stage("checkpoint").stdout
    made_with(project.root / "artifacts/train", torch="2.0")
    said = project.stage("checkpoint").stdout
    assert said.count("was made with") == 1
    assert said.startswith("checkpoint: artifacts/train was made with torch 2.0 (")
    for name in ("verify", "mlflow"):
        (project.root / "reports").mkdir(exist_ok=True)
        report = {"passed": True, "checks": {}, "tracking_uri": "", "run_id": "", "links": {}}
        report["links"] = {"runs": ""}
        (project.root / f"reports/{name}.json").write_text(json.dumps(report))
    said = project.run("python", "-m", "pipeline.summary").stdout
    assert (
        f"versions: artifacts/data: made with numpy 1.26.4 ({here} here); artifacts/train" in said
    )
    assert said.endswith("`dvc repro --force` makes all anew\n")
