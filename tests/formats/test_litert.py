"""`model.tflite`: right, or refused with the layer named."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from testing.formats import FOLDER, SPARED
from testing.formats import form as plugin
from testing.keras_cases import UNFIT, Case, Inverse, numbers, pixels
from testing.keras_formats import (
    MODELS,
    OUTPUTS,
    demand_answers,
    demand_refused,
    demand_weights_count,
)
from testing.project import ROOT

form = plugin("litert")
every_model = pytest.mark.parametrize("name", MODELS)

ELSEWHERE = """
import pathlib, sys
import numpy as np
sys.path.insert(0, sys.argv[4])
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
for directory in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    predict, example = form.load(directory), np.load(directory / "example.npz")
    inputs = {k[6:]: example[k] for k in example.files if k.startswith("input.")}
    np.testing.assert_allclose(
        predict(inputs)["probabilities"], example["output"], rtol=1e-4, atol=1e-6
    )
assert "keras_cases" not in sys.modules
import keras_cases
for name, case in keras_cases.make().items():
    directory = pathlib.Path(sys.argv[3]) / name
    directory.mkdir(parents=True)
    form.export(case.model, case.inputs(9), ["probabilities"], directory)
assert not {name.split(".")[0] for name in sys.modules} & {"torch", "pipeline", "tests"}
"""


@pytest.fixture(scope="session")
def litert(keras_cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("litert")
    for name, case in keras_cases.items():
        (root / name).mkdir()
        form.export(case.model, case.inputs(9), OUTPUTS, root / name)
        inputs = case.inputs(1)
        arrays = {f"input.{key}": value for key, value in inputs.items()}
        np.savez(root / name / "example.npz", output=case.eager(inputs), **arrays)
    return root


@every_model
@pytest.mark.parametrize("first", [0, 1, 7])
def test_it_answers_as_the_model_does_for_any_number_of_rows(
    name: str, first: int, keras_cases: dict[str, Case], litert: Path
) -> None:
    demand_answers(form, litert / name, keras_cases[name], (first, 0, 1, 7, 1000))


def test_without_the_source_it_answers_and_another_process_writes_the_same_bytes(
    litert: Path, tmp_path: Path
) -> None:
    (tmp_path / "telltale").mkdir()
    shutil.copy(ROOT / "testing/keras_cases.py", tmp_path / "telltale")
    there = tmp_path / "there"
    command = [sys.executable, "-I", "-c", SPARED + ELSEWHERE, FOLDER / "litert", litert, there]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [*command, tmp_path / "telltale"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        content = (there / name / form.FILE).read_bytes()
        assert content == (litert / name / form.FILE).read_bytes(), name
        for trace in (b"telltale", b"site-packages", b"keras_cases", b".py", b"/tmp"):
            assert trace not in content


@pytest.mark.parametrize("name", ["subclassed", "custom", "text"])
def test_the_weights_lie_where_it_says(
    name: str, keras_cases: dict[str, Case], litert: Path
) -> None:
    """Kernels turned round, as LiteRT has them; factors before and behind are multiplied in."""
    content = (litert / name / form.FILE).read_bytes()
    places = form.weights(litert / name)
    held = [
        np.frombuffer(content[offset : offset + nbytes], dtype)
        for file, offset, nbytes, dtype in places.values()
        if file == form.FILE
    ]
    largest = max(keras_cases[name].model.weights, key=lambda each: np.asarray(each).nbytes)
    turned = np.asarray(largest).T.ravel()
    assert any(each.dtype == turned.dtype and np.array_equal(each, turned) for each in held)


@every_model
def test_a_changed_weight_changes_its_answers(
    name: str, keras_cases: dict[str, Case], litert: Path, tmp_path: Path
) -> None:
    demand_weights_count(form, litert / name, keras_cases[name], tmp_path / "copy")


@every_model
def test_its_card_predicts(
    name: str, keras_cases: dict[str, Case], litert: Path, tmp_path: Path, monkeypatch
) -> None:
    case = keras_cases[name]
    shutil.copy(litert / name / form.FILE, tmp_path)
    (tmp_path / "examples").mkdir()
    inputs = case.inputs(1)
    np.savez(tmp_path / "examples/one.npz", **{f"input.{k}": v for k, v in inputs.items()})
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(form.card(list(inputs), OUTPUTS), scope)
    np.testing.assert_allclose(scope["outputs"], case.eager(inputs), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", UNFIT)
def test_a_model_that_does_not_fit_is_refused_with_its_layer(name: str, tmp_path: Path) -> None:
    demand_refused(form, "litert", name, tmp_path)


def test_one_that_answers_otherwise_is_refused(
    keras_cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_another(model: object, *others: object) -> bytes:
        return right(keras_cases["custom"].model, *others)

    part = importlib.import_module("formats.litert.export")
    right = part._converted
    monkeypatch.setattr(part, "_converted", of_another)
    with pytest.raises(ValueError, match="probabilities for .* rows differs .* layer dense"):
        form.export(keras_cases["subclassed"].model, pixels(5), OUTPUTS, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_asks_for_tensorflows_operators_is_not_loaded(tmp_path: Path) -> None:
    import tensorflow as tf

    numbers(Inverse()).model.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / form.FILE).write_bytes(converter.convert())
    with pytest.raises(ValueError, match="FlexMatrixInverse"):
        form.load(tmp_path)
