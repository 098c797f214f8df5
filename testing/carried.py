"""The models that each runtime is tried with, exported once in a run of the tests."""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testing.finished import finished
from testing.formats import FOLDER, form
from testing.runtimes import demand, described, follow_card, save, write
from testing.shared import shared

Arrays = dict[str, np.ndarray]
EXPORTED = ("torch_mlp", "torch_sequence_to_sequence")
"""The others are those that went through the whole pipeline."""
TOKENS, MOST = 14, 40
LENGTHS = {name: {"least": 1, "most": MOST} for name in ("asked", "length")}
SIZES = {"one": (1, 5), "seven": (7, 9), "many": (30, 31)}
"""Rows, and signs of a question."""


def carrying(
    factory: pytest.TempPathFactory, model: str, runtime: str, directory: Path
) -> dict[str, Path]:
    """Makes `directory` a copy of the complete model that carries the runtime's program; returns
    the batches of its reference."""
    made, batches = _made(factory, model)
    shutil.copytree(made, directory, copy_function=os.link)
    write(runtime, directory, json.loads((directory / "schema.json").read_text()))
    return {batch: batches / f"{batch}.npz" for batch in SIZES}


def mailed(factory: pytest.TempPathFactory, runtime: str) -> Path:
    """Returns a folder with a model whose card somebody followed, and with what was said. Read it,
    do not change it."""
    demand(runtime)

    def make(folder: Path) -> None:
        carrying(factory, "torch_mlp", runtime, folder / "model")
        done = follow_card(runtime, folder / "model")
        (folder / "said").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr

    return shared(factory, f"mailed-{runtime}", make)


def _made(factory: pytest.TempPathFactory, model: str) -> tuple[Path, Path]:
    if model not in EXPORTED:
        artifacts = finished(factory, model).root / "artifacts"
        return artifacts / "complete-model", artifacts / "checkpoint/reference"
    folder = shared(factory, f"carried-{model}", lambda folder: _export(model, folder))
    return folder, folder / "examples"


def _export(model: str, folder: Path) -> None:
    import torch

    torch.manual_seed(0)
    net, inputs, more = _torch_mlp() if model == "torch_mlp" else _torch_sequence_to_sequence()
    net.eval()
    for batch, sizes in SIZES.items():
        given = inputs(*sizes)
        with torch.no_grad():
            answers = net(*map(torch.from_numpy, given.values())).numpy()
        save(folder / f"examples/{batch}.npz", given, {"logits": answers})
    schema = {"inputs": described(given), "outputs": described({"logits": answers})}
    for name, shape in more.items():
        schema["outputs" if name == "logits" else "inputs"][name]["shape"] = shape
    if more:
        schema["dimensions"] = LENGTHS
    (folder / "schema.json").write_text(json.dumps(schema))
    assert FOLDER.is_dir()
    dimensions = importlib.import_module("formats.dimensions").declared(schema)
    for each in ("torch_export", "onnx"):
        form(each).export(net, given, ["logits"], folder, dimensions=dimensions)


Made = tuple[Any, Callable[[int, int], Arrays], Mapping[str, list[Any]]]


def _torch_mlp() -> Made:
    from models.torch_mlp import TorchMLP

    def inputs(rows: int, _: int) -> Arrays:
        drawn = np.random.default_rng(rows).uniform(0, 16, (rows, 64))
        return {"pixels": drawn.astype(np.float32)}

    net = TorchMLP(64, 32, 10)
    net.adapt(inputs(50, 0)["pixels"])
    return net, inputs, {}


def _torch_sequence_to_sequence() -> Made:
    """Both lengths vary."""
    from models.torch_language import TorchSequenceToSequence

    def inputs(rows: int, length: int) -> Arrays:
        draw = np.random.default_rng(rows)
        sizes = {"question": length, "before": length + 3}
        return {name: draw.integers(0, TOKENS, (rows, size)) for name, size in sizes.items()}

    net = TorchSequenceToSequence(TOKENS, MOST, MOST, units=32, heads=2, dropout=0.1)
    return net, inputs, {"question": ["asked"], "before": ["length"], "logits": ["length", TOKENS]}
