"""C runs `model.tflite` through LiteRT's C API, in the one version that its header is written for,
and what is wrong with the file is noticed there."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from pipeline.runtimes import program
from pipeline.runtimes.contract import NotHere
from pipeline.runtimes.litert_c import program as litert
from testing import runtimes, varying
from testing.carried_in_c import CHANGES, Change, export, exported
from testing.formats import form
from testing.project import ROOT

NAME = "litert_c"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(NAME, tmp_path_factory)


def test_numbers_and_texts_are_answered_as_the_model_does(model: Path) -> None:
    ran = runtimes.answer(NAME, model, "one", "seven", "thirty", "one")
    assert ran.fault == "" and ran.timing["build_seconds"] > 0
    with np.load(model / "examples/thirty.npz") as expected:
        found = ran.outputs["thirty"]["scores"]
        assert np.allclose(found, expected["output.scores"], atol=1e-6, rtol=1e-5)


def test_the_card_is_followed_in_a_copy(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "mailed"))
    done = runtimes.follow_card(NAME, copy)
    assert done.returncode == 0, done.stderr
    assert "seven.npz scores: largest difference" in done.stdout
    assert "warning:" not in done.stdout + done.stderr
    listed = subprocess.run(
        ["ldd", copy / "runtimes/litert_c/check"], capture_output=True, text=True, check=True
    )
    loaded = [line.split()[0] for line in listed.stdout.splitlines()]
    assert "libLiteRt.so" in loaded and not any("python" in name for name in loaded)


@pytest.mark.parametrize("change", CHANGES)
def test_what_answers_otherwise_is_noticed(change: Change, model: Path, tmp_path: Path) -> None:
    export(NAME, tmp_path, change)
    ran = runtimes.answer(NAME, tmp_path)
    assert ran.fault.endswith("which is too far") and "scores: largest difference" in ran.fault


def other(folder: Path, said: str) -> Path:
    """Returns a folder with the library of the installed package, which says another version."""
    installed = Path(program(NAME).find().environment["LITERT"])
    (folder / "ai_edge_litert").mkdir(parents=True)
    (folder / "ai_edge_litert/__init__.py").write_text(said)
    (folder / "ai_edge_litert/libLiteRt.so").symlink_to(installed / "libLiteRt.so")
    return folder / "ai_edge_litert"


@pytest.mark.parametrize(
    ("said", "found"),
    [('__version__ = "2.4.0"\n', "2.4.0"), ('__version__ = "2.3.01"\n', "2.3.01")]
    + [(text, "of no version") for text in ("", "import os\n")],
)
def test_the_program_refuses_another_version_before_it_calls_it(
    said: str, found: str, model: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "mailed"))
    done = runtimes.follow_card(NAME, copy, LITERT=str(other(tmp_path, said)))
    last = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    expected = "whose functions it calls: pip install ai-edge-litert==2.3.0"
    assert last == [f"found ai-edge-litert {found}, expected 2.3.0, {expected}"]
    assert done.returncode == 2


def test_another_version_here_is_not_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(other(tmp_path, '__version__ = "2.4.0"\n').parent)
    expected = "found ai-edge-litert 2.4.0, expected 2.3.0, .*; install it: pip install ai-edge-li"
    with pytest.raises(NotHere, match=expected):
        program(NAME).find()
    assert "expected 2.3.0" in runtimes.answer(NAME, model).missing


def test_the_extra_installs_the_version_of_the_header() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert litert.PACKAGE in extras["optional-dependencies"]["litert"]
    assert litert.PACKAGE in (ROOT / "requirements.lock").read_text().splitlines()


def whole_numbers() -> keras.Model:
    """Of two lengths that vary, whole numbers and truth values in and out, and more than one
    output."""
    tokens = keras.Input((None,), dtype="int64", name="tokens")
    seen = keras.Input((None,), dtype="bool", name="seen")
    ids = keras.Input((None, 2), dtype="int32", name="ids")
    hidden = layers.Embedding(9, 4)(tokens) * ops.expand_dims(ops.cast(seen, "float32"), -1)
    scores = layers.Dense(3)(hidden)
    return keras.Model(
        {"tokens": tokens, "seen": seen, "ids": ids},
        {"scores": scores, "positive": scores > 0, "next": tokens + 1, "doubled": ids * 2},
    )


SHAPES = {
    "inputs": {"tokens": ["length"], "seen": ["length"], "ids": ["width", 2]},
    "outputs": {
        "scores": ["length", 3],
        "positive": ["length", 3],
        "next": ["length"],
        "doubled": ["width", 2],
    },
}
BOUNDS = {name: {"least": 1, "most": 40} for name in ("length", "width")}


def drawn(rows: int, length: int, width: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(length)
    return {
        "tokens": draw.integers(0, 9, (rows, length)),
        "seen": draw.integers(0, 2, (rows, length)).astype(bool),
        "ids": draw.integers(-99, 99, (rows, width, 2)).astype(np.int32),
    }


def test_whole_numbers_and_two_lengths_that_vary_are_answered(tmp_path: Path) -> None:
    runtimes.demand(NAME)
    keras.utils.set_random_seed(0)
    net, names = whole_numbers(), [*SHAPES["outputs"]]
    batches = {"one": (1, 5, 3), "seven": (7, 9, 2), "long": (3, 40, 40), "short": (3, 1, 1)}
    for batch, sizes in batches.items():
        given = drawn(*sizes)
        answers = {name: np.asarray(each) for name, each in net(given, training=False).items()}
        runtimes.save(tmp_path / f"examples/{batch}.npz", given, answers)
    schema = {"inputs": runtimes.described(given), "outputs": runtimes.described(answers)}
    for side, shapes in SHAPES.items():
        for name, shape in shapes.items():
            schema[side][name]["shape"] = shape
    schema["dimensions"] = BOUNDS
    dimensions = varying.dimensions(schema)
    form("litert").export(net, drawn(7, 9, 2), names, tmp_path, dimensions=dimensions)
    runtimes.write(NAME, tmp_path, schema)
    paths = {batch: tmp_path / f"examples/{batch}.npz" for batch in batches}
    assert runtimes.difference(NAME, tmp_path, paths) < 1e-6


def changed(model: Path, side: str, name: str, **values: object) -> dict[str, object]:
    schema = json.loads((model / "schema.json").read_text())
    schema[side][name] |= values
    return schema


@pytest.mark.parametrize(
    ("side", "name", "values", "expected"),
    [
        ("outputs", "scores", {"dtype": "string"}, "outputs scores is text"),
        ("inputs", "age", {"dtype": "int64"}, "found inputs .* in model.tflite, expected .*int64"),
        ("outputs", "scores", {"shape": [None]}, "outputs scores has a size that is none of an"),
        ("outputs", "scores", {"shape": ["length"]}, "outputs scores has a size that is none of"),
        ("outputs", "scores", {"shape": [1] * 8}, "outputs scores has over 8 axes"),
        ("inputs", "age", {"dtype": "float16"}, "inputs age is float16, of which its program re"),
    ],
)
def test_what_it_cannot_hold_is_refused_in_one_line(
    side: str, name: str, values: dict[str, object], expected: str, model: Path
) -> None:
    with pytest.raises(ValueError, match=f"litert_c: {expected}") as caught:
        program(NAME).files(model, changed(model, side, name, **values))
    assert "\n" not in str(caught.value)


def test_a_size_that_is_not_what_the_schema_says_ends_it_in_one_line(
    model: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "model"))
    runtimes.write(NAME, copy, changed(copy, "outputs", "scores", shape=[4]))
    assert runtimes.answer(NAME, copy).fault.endswith("another shape than model.h has of scores")


@pytest.mark.parametrize("content", [b"", b"no flatbuffer at all"])
def test_a_file_that_is_none_ends_it_in_one_line(
    content: bytes, model: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "model"))
    (copy / "model.tflite").write_bytes(content)
    with pytest.raises(ValueError, match="model.tflite: "):
        program(NAME).files(copy, json.loads((copy / "schema.json").read_text()))
    assert "LiteRT cannot read model.tflite, with its status" in runtimes.answer(NAME, copy).fault
