"""C runs the SavedModel, and what is wrong with it is noticed there."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.formats.saved_model.tensors import tensors
from pipeline.runtimes import program
from testing import runtimes
from testing.formats import form
from testing.keras_cases import Case, text_and_numbers, visitors

NAME = "saved_model_c"
Change = Callable[[keras.Model], None]


def export(folder: Path, change: Change = lambda model: None) -> Path:
    """Writes a complete model whose examples are the answers from before the change."""
    keras.utils.set_random_seed(0)
    model = text_and_numbers()
    for batch, rows in {"one": 1, "seven": 7, "thirty": 30}.items():
        inputs = visitors(rows)
        answers = Case(model, visitors).eager(inputs)
        runtimes.save(folder / f"examples/{batch}.npz", inputs, {"scores": answers})
    change(model)
    form("saved_model").export(model, inputs, ["scores"], folder)
    schema = {
        "inputs": runtimes.described(inputs),
        "outputs": runtimes.described({"scores": answers}),
    }
    (folder / "schema.json").write_text(json.dumps(schema))
    runtimes.write(NAME, folder, schema)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runtimes.demand(NAME)
    folder = tmp_path_factory.mktemp("saved_model_c") / "model"
    folder.mkdir()
    return export(folder)


def test_numbers_and_texts_are_answered_as_the_model_does(model: Path, tmp_path: Path) -> None:
    ran = runtimes.answer(NAME, model, "one", "seven", "thirty")
    assert ran.fault == "" and ran.timing["build_seconds"] > 0
    with np.load(model / "examples/thirty.npz") as expected:
        found = ran.outputs["thirty"]["scores"]
        assert np.allclose(found, expected["output.scores"], atol=1e-6, rtol=1e-5)


def test_the_card_is_followed_in_a_copy(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "mailed"))
    place = program(NAME).find()
    done = subprocess.run(
        program(NAME).card(copy),
        shell=True,
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", **place.environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "seven.npz scores: largest difference" in done.stdout
    assert "warning" not in done.stdout + done.stderr


def swapped(model: keras.Model) -> None:
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel[:, [1, 0, 2]], bias[[1, 0, 2]]])


def unscaled(model: keras.Model) -> None:
    scale = next(each for each in model.layers if isinstance(each, layers.Normalization))
    scale.mean = scale.mean * 0.99


def stale(model: keras.Model) -> None:
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 1.001, bias])


@pytest.mark.parametrize("change", [swapped, unscaled, stale])
def test_what_answers_otherwise_is_noticed(change: Change, model: Path, tmp_path: Path) -> None:
    export(tmp_path, change)
    ran = runtimes.answer(NAME, tmp_path)
    assert ran.fault.endswith("which is too far") and "scores: largest difference" in ran.fault


def test_the_names_of_tensors_are_those_that_tensorflow_reads(model: Path) -> None:
    saved = form("saved_model")
    signature = saved.read_graphs(model / saved.FOLDER).meta_graphs[0].signature_def
    for side, found in zip(("inputs", "outputs"), tensors(model), strict=True):
        wanted = getattr(signature["serving_default"], side)
        assert found == {name: each.name for name, each in wanted.items()}


def test_text_that_comes_out_is_refused(model: Path) -> None:
    schema = json.loads((model / "schema.json").read_text())
    schema["outputs"]["scores"]["dtype"] = "string"
    with pytest.raises(ValueError, match="saved_model_c: outputs scores is text"):
        program(NAME).files(model, schema)
