"""Keras models through every stage: the same reports, the same guarantees, no torch anywhere."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pipeline.config.yaml_text import dump_yaml, load_yaml
from testing import finished, preloaded
from testing.project import Project
from tests.test_export_complete import blocks

MODELS = [name for name in finished.MODELS if name.startswith("keras")]
FORMATS = ["saved_model", "onnx", "keras_archive", "litert"]


@pytest.fixture(scope="module", params=MODELS)
def verified(request, tmp_path_factory) -> Project:
    """Read it, do not change it."""
    return finished.finished(tmp_path_factory, request.param)


def test_every_format_holds_the_model_and_is_verified(verified):
    report = json.loads(verified.read("reports/verify.json"))
    assert report["passed"] and report["refused"] == {}
    assert sorted(report["formats"]) == sorted(FORMATS)
    without = report["checks"]["self_contained"]["measured"]
    assert without["saved_model"]["without_source"] == "loads and predicts"


def test_metrics_are_named_as_those_of_a_torch_model(verified):
    metrics = json.loads(verified.read("artifacts/checkpoint/metrics.json"))
    losses = {"train/loss", "val/loss", "test/loss"}
    assert set(metrics) == losses | {"val/accuracy", "test/accuracy"}


def test_the_cards_blocks_answer_as_recorded_without_the_source(verified):
    directory = verified.root / "artifacts/complete-model"
    *loading, checking, _ = blocks((directory / "README.md").read_text())
    assert len(loading) == len(FORMATS)
    for block in loading:
        done = preloaded.run("keras", directory, "-I", "-c", f"{block}\n{checking}")
        if "model.keras" in block and done.returncode:
            assert "No module named 'models'" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            assert float(done.stdout.splitlines()[-1]) < 1e-4


def test_the_cards_lines_train_on_and_save_without_the_source(verified, tmp_path):
    mailed = shutil.copytree(verified.root / "artifacts/complete-model", tmp_path / "mailed")
    training = blocks((mailed / "README.md").read_text())[-1]
    done = preloaded.run("keras", mailed, "-I", "-c", f"{training}\nprint(outputs.shape)")
    assert done.returncode == 0, done.stderr
    *steps, shape = done.stdout.splitlines()
    pairs = [re.fullmatch(r"loss (\S+), with the source (\S+)", line) for line in steps]
    # As many threads as the machine has, so the last digits may differ from those recorded.
    assert len(pairs) == 6 and all(p and abs(float(p[1]) - float(p[2])) < 1e-4 for p in pairs)
    assert shape.startswith("(1, ") and (mailed / "trained/saved_model.pb").is_file()


def test_every_bit_of_more_training_is_that_of_the_source(verified):
    found = json.loads(verified.read("reports/verify.json"))["checks"]["continuation"]
    measured = found["measured"]["saved_model"]
    assert measured["max_abs_diff"] == {"losses": 0.0, "state": 0.0, "answers": 0.0}
    assert measured["atol"] == measured["rtol"] == 0.0 and measured["moved"] > 1e-3


LOADED = """
import mlflow, numpy, os, sys
for directory in sys.argv[1:]:
    os.chdir(directory)
    example = numpy.load("examples/seven.npz")
    given = {k[6:]: example[k] for k in example if k.startswith("input.")}
    answer = mlflow.pyfunc.load_model(".").predict(given)
    answer = answer["probabilities"] if isinstance(answer, dict) else answer
    print("off by", abs(numpy.asarray(answer) - example["output.probabilities"]).max())
"""


def test_mlflow_loads_each_with_named_inputs_texts_included(tmp_path_factory, tmp_path):
    projects = [finished.finished(tmp_path_factory, model) for model in MODELS]
    directories = [str(each.root / "artifacts/complete-model") for each in projects]
    command = [sys.executable, "-I", "-c", LOADED, *directories]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    off = [line for line in done.stdout.splitlines() if line.startswith("off by ")]
    assert len(off) == len(MODELS)
    assert all(float(line.split()[-1]) < 1e-5 for line in off)


def test_no_stage_loads_torch(verified):
    """Its stages ran where torch cannot be imported."""
    path = str(finished.refusing(verified))
    done = preloaded.run("keras", verified.root, "-c", "import torch", PYTHONPATH=path)
    assert done.returncode == 1 and "ImportError: torch is refused" in done.stderr


MUTANTS = {
    "training mode": "model = always_training(model)",
    "statistics dropped": "drop(model, 'Normalization')",
    "two classes swapped": "swap(model)",
    "weights zeroed": "zero(model)",
    "a re-ordered lookup": "reorder(model)",
}
MUTATE = """
import json, shutil, sys
from pathlib import Path
import numpy as np
from pipeline import provenance
from pipeline.training.parts import build
from pipeline import frameworks
from pipeline.formats import exporter
from pipeline.config.params import TrainParams
from pipeline.run.arguments import params_file
from pipeline.config.reading import read

params = read(TrainParams, params_file())
schema = json.loads(Path("artifacts/checkpoint/schema.json").read_text())
framework = frameworks.framework("keras")
import keras

def fresh():
    training = build(params.model, params.train, schema, "cpu")
    framework.load(training, Path("artifacts/checkpoint/checkpoint.npz"))
    return framework.predictor(training, inputs)

def layers(model, kind):
    return [layer for layer in model._flatten_layers() if type(layer).__name__ == kind]

def always_training(model):
    class Training(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = model
        def call(self, inputs, training=False):
            return self.inner(inputs, training=True)
    found = Training()
    found(model.inputs)
    return found

def drop(model, kind):
    for layer in layers(model, kind):
        mean = getattr(layer, "mean", None)
        layer.mean, layer.variance = mean * 0, layer.variance * 0 + 1

def swap(model):
    last = layers(model, "Dense")[-1]
    last.set_weights([np.flip(weight, -1) for weight in last.get_weights()])

def zero(model):
    first = layers(model, "Dense")[0]
    first.set_weights([weight * 0 for weight in first.get_weights()])

def reorder(model):
    for layer in layers(model, "StringLookup"):
        words = layer.get_vocabulary(include_special_tokens=False)
        layer.set_vocabulary(words[::-1])

example = np.load("artifacts/checkpoint/reference/seven.npz")
inputs = {name: example[f"input.{name}"] for name in schema["inputs"]}
original = Path("artifacts/complete-model")
for name, mutation in json.loads(sys.argv[1]).items():
    copy = Path("mutants") / name
    shutil.copytree(original, copy)
    shutil.rmtree(copy / "saved_model")
    for file in ("model.onnx", "model.keras", "model.tflite"):
        (copy / file).unlink(missing_ok=True)
    (copy / "formats.json").write_text('{"held": ["saved_model"], "trains": [], "refused": {}}')
    names = {"model": fresh(), "drop": drop, "swap": swap, "zero": zero, "reorder": reorder}
    names["always_training"] = always_training
    exec(mutation, names)
    exporter("saved_model").export(names["model"], inputs, list(schema["outputs"]), copy)
    definition = provenance.read(original)["predicate"]["buildDefinition"]
    (copy / provenance.NAME).unlink()
    provenance.write(copy, definition)
"""


@pytest.mark.parametrize(
    ("verified", "possible"),
    [
        ("keras_functional", ("training mode", "statistics dropped", "two classes swapped")),
        ("keras_mlp", ("weights zeroed", "two classes swapped")),
        ("keras_text_tabular", ("a re-ordered lookup",)),
    ],
    indirect=["verified"],
)
def test_mutants_of_a_model_are_caught(verified, possible, copy_of):
    """Each is exported by the format itself and sealed, so only what it answers gives it away."""
    project = copy_of(verified)
    mutants = json.dumps({name: MUTANTS[name] for name in possible})
    done = preloaded.run("keras", project.root, "-c", MUTATE, mutants)
    assert done.returncode == 0, done.stderr
    params = load_yaml(project.read("params.yaml"), "params.yaml")
    params["verify"]["checks"] = ["integrity", "self_contained", "parity"]
    (project.root / "params.yaml").write_text(dump_yaml(params))
    for name in possible:
        done = project.run(
            *("python", "-m", "pipeline.verify", "--complete-model", f"mutants/{name}"),
            *("--checkpoint", "artifacts/checkpoint", "--data", "artifacts/data"),
            *("--report", "reports/mutant.json"),
            check=False,
        )
        report = json.loads(project.read("reports/mutant.json"))
        assert done.returncode == 1 and not report["passed"], name
        assert "parity" in {fault["check"] for fault in report["faults"]}, report["faults"]
        assert not {"integrity", "self_contained"} & {fault["check"] for fault in report["faults"]}


STEP = """
import json
from pathlib import Path
import numpy as np
from pipeline.data import arrays as data
from pipeline.training.parts import build
from pipeline import frameworks
from pipeline.formats import exporter
from pipeline.config.params import TrainParams
from pipeline.run.arguments import params_file
from pipeline.config.reading import read

params = read(TrainParams, params_file())
schema = json.loads(Path("artifacts/checkpoint/schema.json").read_text())
framework = frameworks.framework("keras")
training = build(params.model, params.train, schema, "cpu")
framework.load(training, Path("artifacts/checkpoint/checkpoint.npz"))
inputs, targets = data.split(Path("artifacts/data"), "train")
rows = np.array(inputs["pixels"][:32]), np.array(targets["label"][:32])
source = framework.predictor(training, {"pixels": rows[0]})

import keras
from models import keras_custom

own = {k: v for k, v in vars(keras_custom).items() if isinstance(v, type)}
archive = "artifacts/complete-model/model.keras"
loaded = keras.saving.load_model(archive, custom_objects=own)
assert type(loaded.loss) is type(source.loss) and type(loaded.loss).__module__.startswith("models")
losses = [float(np.ravel(model.train_on_batch(*rows))[0]) for model in (source, loaded)]
assert losses[0] == losses[1], losses
before = [np.array(v) for v in source.optimizer.variables]
after = [np.array(v) for v in loaded.optimizer.variables]
assert len(before) == len(after) and all(map(np.array_equal, before, after))
assert all(map(np.array_equal, source.get_weights(), loaded.get_weights()))
"""


@pytest.mark.parametrize("verified", ["keras_custom"], indirect=True)
def test_an_archive_with_its_classes_takes_the_step_the_source_takes(verified):
    """Layer, loss and optimizer of their own or Keras': all come back, bit for bit."""
    done = preloaded.run("keras", verified.root, "-c", STEP)
    assert done.returncode == 0, done.stderr


def test_a_torch_run_loads_no_tensorflow(tmp_path_factory):
    """Its stages ran where neither TensorFlow nor Keras can be imported."""
    project = finished.finished(tmp_path_factory, "torch_cnn")
    path = str(finished.refusing(project))
    for name in ("tensorflow", "keras"):
        done = project.run("python", "-c", f"import {name}", check=False, PYTHONPATH=path)
        assert done.returncode == 1 and f"ImportError: {name} is refused" in done.stdout


def test_reference_outputs_are_probabilities(verified):
    answers = np.load(verified.root / "artifacts/checkpoint/reference/many.npz")
    assert np.allclose(answers["output.probabilities"].sum(axis=1), 1, atol=1e-5)
