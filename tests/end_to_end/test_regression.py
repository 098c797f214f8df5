"""A number is predicted, by the experiment that the README names."""

import json

from pipeline.config.yaml_text import load_yaml
from testing.project import Project

SHORT = ("train.epochs=30", "export.attempt=[]", "checkpoint.many=16")


def test_the_regression_of_the_readme_learns_and_passes_every_check(project: Project) -> None:
    """Half of what varies is explained, where always saying the mean explains nothing."""
    project.params("experiment=diabetes", *SHORT)
    for name in ("prepare", "train", "checkpoint", "export-complete", "verify"):
        project.stage(name)
    metrics = json.loads(project.read("artifacts/checkpoint/metrics.json"))
    assert metrics["test/r2"] > 0.35 and "test/mean_absolute_error" in metrics
    report = json.loads(project.read("reports/verify.json"))
    asked = load_yaml(project.read("params.yaml"), "params.yaml")["verify"]["checks"]
    assert report["passed"] and list(report["checks"]) == asked
    schema = json.loads(project.read("artifacts/complete-model/schema.json"))
    assert schema["inputs"] == {"table": {"dtype": "float32", "shape": [10]}}
    assert schema["outputs"] == {"prediction": {"dtype": "float32", "shape": []}}


def test_the_same_model_classifies_a_table_of_another_width(project: Project) -> None:
    rows = "".join(f"{i % 7},{(i * 3) % 5},{i},{i % 7 // 3}\n" for i in range(60))
    (project.root / "data/mine.csv").write_text("a,b,row,kind\n" + rows)
    text = project.read("conf/data/diabetes.yaml").replace("diabetes", "mine")
    text = text.replace("[10]", "[2]").replace("id: null", "id: row").replace("progression", "kind")
    text = text.replace("classes: null", "classes: 3")
    (project.root / "conf/data/mine.yaml").write_text(text)
    loss = "model.loss._target_=torch.nn.CrossEntropyLoss"
    project.params("data=mine", "model=torch_tabular", loss, "train.epochs=1", *SHORT[1:])
    for name in ("prepare", "train", "checkpoint"):
        project.stage(name)
    assert "test/accuracy" in json.loads(project.read("artifacts/checkpoint/metrics.json"))
