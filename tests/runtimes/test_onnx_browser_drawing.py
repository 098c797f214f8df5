"""A person draws, and the model learns it in a page that was opened from the disk."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pipeline.runtimes import program
from pipeline.runtimes.onnx_browser import pictures
from testing import chromium, runtimes
from testing.formats import form
from testing.parts import parts

NAME = "onnx_browser"
LABEL = {"dtype": "int64", "shape": [], "classes": 10, "labels": None}
SCHEMA: dict[str, Any] = {
    "inputs": {"pixels": {"dtype": "float32", "shape": [64]}},
    "targets": {"label": LABEL},
    "outputs": {"logits": {"dtype": "float32", "shape": [10]}},
    "predictions": {"output": "logits", "target": "label", "kind": "argmax", "classes": 10},
}
ZERO = [(150 + 70 * np.cos(a), 150 + 110 * np.sin(a)) for a in np.linspace(-1.5, 4.9, 24)]
ONE = [(150, 30), (150, 150), (150, 270)]


def classifier() -> Any:
    """Returns a net that knows nothing yet."""
    import torch
    from torch import nn

    from pipeline.frameworks import pytorch

    class Net(nn.Linear):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels / 16)

    torch.manual_seed(0)
    adam, given = (lambda each: torch.optim.Adam(each, 0.02)), {"pixels": {"dtype": "float32"}}
    given["pixels"] |= {"shape": (64,)}
    made = (lambda: Net(64, 10), nn.CrossEntropyLoss, adam, None, given, None, ("logits",))
    return pytorch.build(parts(*made, {"label": {"dtype": "int64", "shape": []}}))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a complete model as far as the page goes."""
    runtimes.demand(NAME)
    folder, training = tmp_path_factory.mktemp("drawing") / "model", classifier()
    (folder / "examples").mkdir(parents=True)
    rows, truth = load_digits(return_X_y=True)
    inputs, targets = {"pixels": rows[:40].astype(np.float32)}, {"label": truth[:40]}
    training.net.eval()
    form("onnx_train").export(training.net, inputs, ["logits"], folder, training, targets)
    (folder / "model.onnx").write_bytes(b"")  # the page reads the training's programs alone
    steps = {"step": np.arange(40) // 20, "loss": np.zeros(2, np.float32)}
    arrays = {"input.pixels": inputs["pixels"], "target.label": truth[:40]}
    np.savez(folder / "examples/training.npz", **steps, **arrays)
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    runtimes.write(NAME, folder, SCHEMA)
    return folder


def test_what_is_drawn_is_learnt_with_no_server(model: Path, tmp_path: Path) -> None:
    """And forgotten again; the page is one file, and Chromium resolves no name."""
    place, target = program(NAME).find(), tmp_path / "draw.html"
    words = program(NAME).card(model)
    assert "node write_page.js draw.html" in words
    subprocess.run(
        ["node", "write_page.js", str(target)],
        cwd=model / "runtimes" / NAME,
        env={"PATH": "/usr/bin:/bin", **place.environment},
        check=True,
        capture_output=True,
    )
    with chromium.opened(
        place.environment["CHROMIUM"], target.as_uri(), tmp_path / "profile"
    ) as page:
        page.wait("document.getElementById('said')?.textContent.startsWith('Ready')")
        assert page.value("document.getElementById('rate').value") == "0.02"
        for shape, label in ((ZERO, 0), (ONE, 1)):
            page.drag("#paper", *shape)
            page.wait("!document.querySelector('#labels button').disabled")
            page.click(f"#labels button:nth-child({label + 1})")
            page.wait(f"document.querySelectorAll('figure').length === {label + 1} && !busy")
        page.click("#more")
        page.wait("losses.length === 70 && !busy")
        losses = page.value("losses")
        assert losses[-1] < losses[0] / 2
        assert page.value("[...document.querySelectorAll('figure')].map((e) => e.className)") == [
            *("right", "right")
        ]
        page.drag("#paper", *[(x + 20, y * 0.8) for x, y in ZERO])
        page.wait("document.querySelector('.bar.best > span')?.textContent === '0'")
        page.picture(tmp_path / "page.png")
        page.click("#forget")
        page.wait("losses.length === 0 && !busy")
        assert page.value("document.querySelector('.bar.best span:last-child').textContent") != ""


@pytest.mark.parametrize(
    ("inputs", "label", "side"),
    [
        ({"pixels": [64]}, LABEL, 8),
        ({"x": [1, 28, 28]}, LABEL, 28),
        ({"x": [28, 28, 1]}, LABEL, 28),
        ({"x": [64]}, LABEL, None),
        ({"pixels": [60]}, LABEL, None),
        ({"x": [3, 28, 28]}, LABEL, None),
        ({"x": ["height", "width"]}, LABEL, None),
        ({"x": [28, 28], "y": [2]}, LABEL, None),
        ({"x": [28, 28]}, LABEL | {"shape": [28, 28]}, None),
        ({"x": [28, 28]}, LABEL | {"classes": None}, None),
    ],
)
def test_a_page_is_written_of_pictures_of_one_colour_alone(
    inputs: dict[str, Any], label: dict[str, Any], side: int | None
) -> None:
    given = {name: {"dtype": "float32", "shape": shape} for name, shape in inputs.items()}
    schema = SCHEMA | {"inputs": given, "targets": {"label": label}}
    known = pictures.described(schema)
    assert (json.loads(known)["side"] if known else None) == side


def test_a_model_that_is_not_trained_on_gets_no_page(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    names = set(program(NAME).files(tmp_path, SCHEMA))
    assert not names & {"draw.html", "draw.js", "write_page.js", "training.js"}
    assert "--train" not in program(NAME).card(tmp_path)
