"""Chromium runs the ONNX file, and what is wrong with it is noticed there."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper as external

from pipeline.runtimes.onnx_browser.program import weight_files
from testing import runtimes
from testing.linear import GEMM, Linear, bias, weight

NAME = "onnx_browser"


def test_it_answers_as_the_trained_model_and_is_timed(model: Linear) -> None:
    ran = model.verify(checks=("parity",))["runtimes"][NAME]
    assert ran["outcome"] == "passed" and ran["max_abs_diff"] < 1e-5 and ran["values"] == 87
    kinds = {"load_seconds", "first_seconds", "median_1_seconds", "median_32_seconds", "peak_mib"}
    assert set(ran["timing"]) == kinds


SWAPPED = {"weight": weight()[:, [1, 0, 2]], "bias": bias()[[1, 0, 2]]}
STALE = {"weight": weight() * np.float32(1.01), "bias": bias()}
SCALE = ("Div", ["pixels", "two"], ["halved"], {})
UNSCALED = {"weight": weight(), "bias": bias(), "two": np.full(1, 2, np.float32)}


@pytest.mark.parametrize(
    ("nodes", "arrays"),
    [
        ([GEMM], SWAPPED),
        ([SCALE, ("Gemm", ["halved", "weight", "bias"], ["logits"], {})], UNSCALED),
        ([GEMM], STALE),
    ],
    ids=["swapped classes", "another normalisation", "stale weights"],
)
def test_what_answers_otherwise_is_noticed(model: Linear, tmp_path: Path, nodes, arrays) -> None:
    model.graph(*nodes, **arrays)
    ran = runtimes.answer(NAME, model.complete_model)
    assert ran.fault.endswith("which is too far") and "logits: largest difference" in ran.fault


def test_it_trains_on_as_the_source_did_and_says_where_not(
    trainable: Callable[[], Linear],
) -> None:
    runtimes.demand(NAME)
    made = trainable()
    runtimes.carry(made, NAME)
    assert runtimes.judged(NAME, made) == []
    path = made.complete_model / "onnx_train/state.json"
    described = json.loads(path.read_text())
    described["learning_rates"] = [[0.06]] * len(described["learning_rates"])
    path.write_text(json.dumps(described))
    faults = runtimes.judged(NAME, made)
    assert faults and all(each.startswith(f"{NAME}: training on: ") for each in faults)


def test_weights_come_out_of_the_file_beside_it(
    model: Linear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And temporary files lie as deep as a stage's may."""
    deep = tmp_path / "a-folder-of-a-stage" / "with-a-name-of-some-length" / "and-one-more-of-it"
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    path = model.complete_model / "model.onnx"
    moved = onnx.load(path)
    external.convert_model_to_external_data(moved, location="model.onnx.data", size_threshold=0)
    onnx.save(moved, path)
    assert weight_files(model.complete_model) == ["model.onnx.data"]
    runtimes.carry(model, NAME)
    assert runtimes.answer(NAME, model.complete_model).fault == ""


def test_the_page_reaches_the_model_and_nothing_else(model: Linear, tmp_path: Path) -> None:
    """Neither a file beside the model, nor another port of this machine."""
    secret = tmp_path / "secret"
    secret.write_text("told")
    script = (
        "const tried = [];\n"
        "const attempt = async (url) => { try { const got = await fetch(url);"
        " tried.push(got.ok ? await got.text() : got.status); }"
        " catch (fault) { tried.push('refused'); } };\n"
        f"(async () => {{ for (const url of ['/..%2f..%2fsecret', {json.dumps(f'file://{secret}')},"
        " 'http://127.0.0.1:9/']) await attempt(url);\n"
        "await fetch('/said', { method: 'POST', body: tried.join(' ') });\n"
        "await fetch('/done', { method: 'POST', body: '2' }); })();\n"
    )
    (model.complete_model / "runtimes" / NAME / "page.js").write_text(script)
    ran = runtimes.answer(NAME, model.complete_model)
    assert ran.fault == "ended with exit code 2: 404 refused refused"
