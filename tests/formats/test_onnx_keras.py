"""`model.onnx` from Keras: right, or refused with the layer named."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from testing.formats import FOLDER, SPARED
from testing.formats import form as plugin
from testing.keras_cases import UNFIT, Case, pixels
from testing.keras_formats import (
    MODELS,
    OUTPUTS,
    demand_answers,
    demand_refused,
    demand_weights_count,
)
from testing.project import ROOT

form = plugin("onnx")
(VARIABLES,) = plugin("saved_model").FORMAT.weight_files
every_model = pytest.mark.parametrize("name", MODELS)

ELSEWHERE = """
import pathlib, sys
sys.path.insert(0, sys.argv[3])
import keras_cases
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
for name, case in keras_cases.make().items():
    directory = pathlib.Path(sys.argv[2]) / name
    directory.mkdir(parents=True)
    form.export(case.model, case.inputs(9), ["probabilities"], directory)
assert not {name.split(".")[0] for name in sys.modules} & {"torch", "pipeline", "tests"}
"""

WITHOUT_SOURCE = """
import pathlib, sys
import numpy as np
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
for directory in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    predict, example = form.load(directory), np.load(directory / "example.npz")
    inputs = {k[6:]: example[k] for k in example.files if k.startswith("input.")}
    np.testing.assert_allclose(
        predict(inputs)["probabilities"], example["output"], rtol=1e-4, atol=1e-6
    )
    form.weights(directory)
assert not {name.split(".")[0] for name in sys.modules} & {"keras", "tensorflow", "onnx", "torch"}
"""


@pytest.fixture(scope="session")
def onnx_from_keras(keras_cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<model>/: saved_model/ as Keras exports it, model.onnx, and example.npz."""
    root = tmp_path_factory.mktemp("keras")
    for name, case in keras_cases.items():
        case.model.export(root / name / "saved_model", verbose=False)
        form.export(case.model, case.inputs(9), OUTPUTS, root / name)
        inputs = case.inputs(5)
        arrays = {f"input.{key}": value for key, value in inputs.items()}
        np.savez(root / name / "example.npz", output=case.eager(inputs), **arrays)
    return root


@every_model
def test_it_answers_as_the_model_does_for_any_number_of_rows(
    name: str, keras_cases: dict[str, Case], onnx_from_keras: Path
) -> None:
    demand_answers(form, onnx_from_keras / name, keras_cases[name], (0, 1, 7, 1000))


@every_model
def test_its_inputs_are_the_models_and_no_statistics(
    name: str, keras_cases: dict[str, Case], onnx_from_keras: Path
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_from_keras / name / form.FILE))
    example = keras_cases[name].inputs(1)
    shapes = {key: ["batch", *value.shape[1:]] for key, value in example.items()}
    assert {each.name: each.shape for each in session.get_inputs()} == shapes
    assert [(each.name, each.shape[0]) for each in session.get_outputs()] == [
        ("probabilities", "batch")
    ]


def test_it_loads_with_onnxruntime_alone(onnx_from_keras: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(onnx_from_keras, tmp_path / "copy")
    command = [sys.executable, "-I", "-c", WITHOUT_SOURCE, FOLDER / "onnx", copy]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@every_model
def test_its_weights_are_those_of_the_saved_model(
    name: str, keras_cases: dict[str, Case], onnx_from_keras: Path
) -> None:
    places = form.weights(onnx_from_keras / name)
    large = [w for w in keras_cases[name].model.weights if np.asarray(w).nbytes >= form.TINY]
    assert large
    for weight in large:
        file, offset, nbytes, dtype = places[weight.path]
        assert file == VARIABLES
        content = (onnx_from_keras / name / file).read_bytes()[offset : offset + nbytes]
        assert np.array_equal(np.frombuffer(content, dtype).reshape(weight.shape), weight)
    assert {place[0] for place in places.values() if place[2] >= form.TINY} == {VARIABLES}


@every_model
def test_a_changed_weight_changes_its_answers(
    name: str, keras_cases: dict[str, Case], onnx_from_keras: Path, tmp_path: Path
) -> None:
    demand_weights_count(form, onnx_from_keras / name, keras_cases[name], tmp_path / "copy")


def test_another_process_elsewhere_writes_the_same_bytes(
    keras_cases: dict[str, Case], tmp_path: Path
) -> None:
    for name, case in keras_cases.items():
        (tmp_path / "here" / name).mkdir(parents=True)
        form.export(case.model, case.inputs(2), OUTPUTS, tmp_path / "here" / name)
    (tmp_path / "telltale").mkdir()
    shutil.copy(ROOT / "testing/keras_cases.py", tmp_path / "telltale")
    there = tmp_path / "there"
    command = [sys.executable, "-I", "-c", SPARED + ELSEWHERE, FOLDER / "onnx", there]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [*command, tmp_path / "telltale"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        assert [path.name for path in (there / name).iterdir()] == [form.FILE]
        content = (there / name / form.FILE).read_bytes()
        assert content == (tmp_path / "here" / name / form.FILE).read_bytes(), name
        for trace in (b"telltale", b"site-packages", b"keras_cases", b".py", b"/tmp"):
            assert trace not in content


@pytest.mark.parametrize("name", UNFIT)
def test_a_model_that_does_not_fit_is_refused_with_its_layer(name: str, tmp_path: Path) -> None:
    demand_refused(form, "onnx", name, tmp_path)


def test_one_that_answers_otherwise_is_refused(
    keras_cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_keras = importlib.import_module("formats.onnx._from_keras")
    right = from_keras.translate

    def wrong(*arguments: object) -> object:
        import onnx_ir

        model, origins = right(*arguments)
        value = next(v for k, v in model.graph.initializers.items() if k.endswith("dense_1/bias"))
        value.const_value = onnx_ir.tensor(
            value.const_value.numpy() + np.float32(0.5) * np.arange(10, dtype=np.float32)
        )
        return model, origins

    monkeypatch.setattr(from_keras, "translate", wrong)
    with pytest.raises(ValueError, match="probabilities for .* rows differs .* layer dense"):
        form.export(keras_cases["subclassed"].model, pixels(5), OUTPUTS, tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_of_one_path_have_a_name_each(tmp_path: Path) -> None:
    keras = importlib.import_module("keras")

    def part() -> Any:
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dense(4, name="inner")(inputs))

    inputs = keras.Input((4,), name="rows")
    model, rows = keras.Model(inputs, part()(part()(inputs))), np.ones((3, 4), np.float32)
    form.export(model, {"rows": rows}, ["y"], tmp_path)
    np.testing.assert_allclose(form.load(tmp_path)({"rows": rows})["y"], model(rows), rtol=1e-5)
    graph = importlib.import_module("onnx").load(tmp_path / form.FILE, load_external_data=False)
    names = {each.name for each in graph.graph.initializer}
    assert {"inner/kernel", "inner/kernel_1"} <= names
