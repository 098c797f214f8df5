"""C runs the SavedModel, and what is wrong with it is noticed there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.formats.saved_model.tensors import tensors
from pipeline.runtimes import program
from testing import runtimes
from testing.carried_in_c import CHANGES, Change, export, exported
from testing.formats import form

NAME = "saved_model_c"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(NAME, tmp_path_factory)


def test_numbers_and_texts_are_answered_as_the_model_does(model: Path, tmp_path: Path) -> None:
    ran = runtimes.answer(NAME, model, "one", "seven", "thirty")
    assert ran.fault == "" and ran.timing["build_seconds"] > 0
    with np.load(model / "examples/thirty.npz") as expected:
        found = ran.outputs["thirty"]["scores"]
        assert np.allclose(found, expected["output.scores"], atol=1e-6, rtol=1e-5)


def test_the_card_is_followed_in_a_copy(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "mailed"))
    done = runtimes.follow_card(NAME, copy)
    assert done.returncode == 0, done.stderr
    assert "seven.npz scores: largest difference" in done.stdout
    assert "warning" not in done.stdout + done.stderr


@pytest.mark.parametrize("change", CHANGES)
def test_what_answers_otherwise_is_noticed(change: Change, model: Path, tmp_path: Path) -> None:
    export(NAME, tmp_path, change)
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
