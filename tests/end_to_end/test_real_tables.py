"""A table with gaps, dates, categories and labels as text goes from raw file to verified model."""

import json
from pathlib import Path

import numpy as np
import pytest

from testing.project import Project

DATA = """\
name: visits
file: visits.csv
csv: {separator: ";", decimal: ",", encoding: cp1252, missing: [NA]}
inputs:
  numbers: {source: [weight, height], shape: [2], dtype: float32, missing: mean}
  day: {source: day, shape: [], dtype: float32, time: days since 2026-01-01, missing: median}
  town: {source: town, shape: [], dtype: int64, categories: 3, missing: keep}
targets:
  label: {source: outcome, classes: [gut, mäßig, schlecht]}
id: null
split: {val: 0.25, test: 0.25, seed: 0, group: patient}
"""
TORCH = """\
import torch
from torch import nn


class Visits(nn.Module):
    def __init__(self, towns, classes):
        super().__init__()
        self.towns = nn.Embedding(towns + 1, 2)
        self.layers = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, classes))
        self.register_buffer("scale", torch.ones(2))

    def adapt(self, numbers, day, town):
        self.scale.copy_(torch.from_numpy(numbers[:].std(axis=0)))

    def forward(self, numbers, day, town):
        day = day[:, None] / 100
        return self.layers(torch.cat([numbers / self.scale, day, self.towns(town)], 1))
"""
KERAS = """\
import keras


def visits(towns, classes):
    numbers = keras.Input((2,), name="numbers")
    day = keras.Input((), name="day")
    town = keras.Input((), dtype="int64", name="town")
    parts = [
        keras.layers.Normalization()(numbers),
        keras.layers.Reshape((1,))(day) / 100,
        keras.layers.Flatten()(keras.layers.Embedding(towns + 1, 2)(town)),
    ]
    hidden = keras.layers.Dense(16, activation="relu")(keras.layers.concatenate(parts))
    outputs = keras.layers.Dense(classes, activation="softmax")(hidden)
    return keras.Model({"numbers": numbers, "day": day, "town": town}, outputs)
"""
MODEL = """\
name: visits
framework: {framework}
net:
  _target_: models.visits.{net}
  towns: ${{data.inputs.town.categories}}
  classes: ${{count:data.targets.label.classes}}
loss:
  _target_: {loss}
optimizer:
  _target_: {optimizer}
scheduler: null
outputs: [answers]
formats: [{format}]
"""
PARTS = {
    "pytorch": (TORCH, "Visits", "torch.nn.CrossEntropyLoss", "torch.optim.Adam", "torch_export"),
    "keras": (
        *(KERAS, "visits", "keras.losses.SparseCategoricalCrossentropy"),
        *("keras.optimizers.Adam", "saved_model"),
    ),
}
GAPS = {3: "weight", 4: "height", 7: "day", 9: "town", 11: "weight"}


def write(project: Project, framework: str) -> None:
    """Ninety visits of thirty patients, as a German Excel writes them."""
    draw = np.random.default_rng(0)
    lines = ["patient;weight;height;day;town;outcome"]
    for row in range(90):
        weight, height = draw.normal(70, 12), draw.normal(1.7, 0.1)
        town = ["Köln", "Lüneburg", "Bonn", "Rom", "Oslo"][int(5 * draw.random() ** 2)]
        bad = (weight / height**2 > 24) + (town == "Köln")
        cells = {
            "patient": f"P{row // 3:03}",
            "weight": f"{weight:.1f}".replace(".", ","),
            "height": f"{height:.2f}".replace(".", ","),
            "day": f"2026-{1 + row // 30:02}-{1 + row % 28:02}",
            "town": town,
            "outcome": ["gut", "mäßig", "schlecht"][bad],
        }
        if gap := GAPS.get(row % 13):
            cells[gap] = "NA" if row % 2 else ""
        lines.append(";".join(cells.values()))
    (project.root / "data/visits.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    code, net, loss, optimizer, format_ = PARTS[framework]
    text = MODEL.format(
        framework=framework, net=net, loss=loss, optimizer=optimizer, format=format_
    )
    (project.root / "conf/data/visits.yaml").write_text(DATA)
    (project.root / "conf/model/visits.yaml").write_text(text)
    (project.root / "models/visits.py").write_text(code)


def complete(project: Project) -> Path:
    return project.root / "artifacts/complete-model"


@pytest.mark.parametrize("framework", PARTS)
def test_a_table_as_people_have_it_becomes_a_model_that_takes_its_gaps(
    project: Project, framework: str
) -> None:
    write(project, framework)
    project.params("data=visits", "model=visits", "train.epochs=3", "checkpoint.many=16")
    for name in ("prepare", "train", "checkpoint", "export-complete", "verify"):
        project.stage(name)
    schema = json.loads((complete(project) / "schema.json").read_text())
    assert schema["targets"]["label"]["labels"] == ["gut", "mäßig", "schlecht"]
    assert schema["inputs"]["town"]["categories"][0] == "Köln"
    assert len(schema["inputs"]["town"]["categories"]) == 3
    means = schema["inputs"]["numbers"]["missing"]
    edge = dict(np.load(project.root / "artifacts/checkpoint/reference/edge.npz"))
    assert np.isnan(edge["input.numbers"][-1]).all() and np.isnan(edge["input.day"][-1])
    assert np.isfinite(edge["output.answers"]).all()
    report = json.loads(project.read("reports/verify.json"))
    assert report["passed"], report
    card = (complete(project) / "README.md").read_text()
    assert "* `day` counts days since 2026-01-01, in UTC." in card and "Köln" not in card
    project.run("python", "-m", "pipeline.examine", "artifacts/complete-model")
    answers = onnx_answers(project, [np.full((1, 2), np.nan), np.array([means])])
    assert np.array_equal(*answers)


def onnx_answers(project: Project, numbers: list[np.ndarray]) -> list[np.ndarray]:
    """What onnxruntime answers to these numbers, all else alike."""
    import onnxruntime

    session = onnxruntime.InferenceSession(complete(project) / "model.onnx")
    others = {"day": np.array([5.0], np.float32), "town": np.array([1])}
    return [
        session.run(None, {"numbers": each.astype(np.float32), **others})[0] for each in numbers
    ]
