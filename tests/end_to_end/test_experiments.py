"""Each kind of learning task goes through all stages, from its raw data to MLflow."""

import json

import numpy as np
import pytest

from testing.project import Project

SHORT = ("train.epochs=1", "checkpoint.many=16", "export.attempt=[onnx]")
STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify", "log-to-mlflow")
MODELS = {
    "regression": ("torch_throws", "keras_throws"),
    "binary": ("torch_late",),
    "multilabel": ("torch_kinds", "keras_kinds"),
    "segmentation": ("torch_unet",),
    "any_size": ("torch_points", "keras_points"),
    "two_outputs": ("torch_locator", "keras_locator"),
    "autoencoder": ("torch_autoencoder", "keras_autoencoder"),
    "contrastive": ("torch_contrastive", "keras_contrastive"),
    "language_model": ("torch_language_model",),
    "masked_language_model": ("torch_masked_language_model",),
    "sequence_to_sequence": ("torch_sequence_to_sequence",),
    "tagging": ("torch_tagger",),
    "keras_masking": ("keras_masking",),
    "text": ("torch_text",),
}
METRICS = {
    "regression": {"r2", "mean_absolute_error"},
    "binary": {"accuracy", "roc_auc"},
    "multilabel": {"f1"},
    "segmentation": {"accuracy", "jaccard"},
    "any_size": {"accuracy"},
    "two_outputs": {"accuracy", "box_error"},
    "autoencoder": {"mean_absolute_error"},
    "contrastive": set(),
    "language_model": {"accuracy"},
    "masked_language_model": set(),
    "sequence_to_sequence": {"accuracy"},
    "tagging": {"accuracy"},
    "keras_masking": {"accuracy"},
    "text": {"accuracy"},
}
CASES = [(name, model) for name, models in MODELS.items() for model in models]


@pytest.mark.parametrize(("experiment", "model"), CASES, ids=[model for _, model in CASES])
def test_an_experiment_is_verified_and_logged(
    project: Project, experiment: str, model: str
) -> None:
    project.params(f"experiment={experiment}", f"model={model}", *SHORT)
    for name in STAGES:
        project.stage(name)
    report = json.loads(project.read("reports/verify.json"))
    assert report["passed"], report["faults"]
    assert json.loads(project.read("reports/mlflow.json"))["run_id"]
    metrics = json.loads(project.read("artifacts/checkpoint/metrics.json"))
    scored = {name.removeprefix("test/") for name in metrics if name.startswith("test/")}
    assert scored == METRICS[experiment] | {"loss"}
    schema = json.loads(project.read("artifacts/complete-model/schema.json"))
    targets = {f"target.{name}" for name in schema["targets"]}
    with np.load(project.root / "artifacts/complete-model/examples/training.npz") as steps:
        assert {name for name in steps if name.startswith("target")} == targets


def test_class_names_go_from_the_configuration_to_the_predictions(project: Project) -> None:
    project.params("experiment=two_outputs", *SHORT)
    for name in STAGES[:3]:
        project.stage(name)
    schema = json.loads(project.read("artifacts/checkpoint/schema.json"))
    names = ["circle", "square", "cross"]
    assert schema["targets"]["label"]["labels"] == names
    rows = project.read("artifacts/checkpoint/predictions.csv").splitlines()[1:]
    assert {word for row in rows for word in row.split(",")} <= set(names)
