"""C++ runs what ExecuTorch makes of `model.pt2`, and what is wrong with the weights is noticed
there."""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.runtimes import program
from pipeline.runtimes.contract import NotHere
from pipeline.runtimes.executorch_cpp import program as executorch
from testing import carried, runtimes
from testing.changed_weights import CHANGES
from testing.project import ROOT

NAME = "executorch_cpp"


command = partial(runtimes.command, NAME)


@pytest.fixture(scope="module")
def mailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried.mailed(tmp_path_factory, NAME)


def test_the_card_is_followed_in_a_copy(mailed: Path) -> None:
    said = (mailed / "said").read_text()
    assert "seven.npz logits: largest difference" in said and "check.cpp:" not in said


def test_what_was_built_needs_neither_python_nor_torch(mailed: Path) -> None:
    folder = mailed / "model/runtimes" / NAME
    loaded = [line.split()[0] for line in command("ldd ./check", folder).stdout.splitlines()]
    assert "libexecutorch.so" in loaded
    assert not any("python" in name or name.startswith(("libtorch", "libc10")) for name in loaded)
    assert (folder / "model.pte").read_bytes()[4:6] == b"ET"


def test_more_rows_than_it_has_memory_for_are_taken_in_turn(mailed: Path, tmp_path: Path) -> None:
    folder = mailed / "model/runtimes" / NAME
    examples = mailed / "model/examples/many.npz"
    with np.load(examples) as arrays:
        many = {name: np.concatenate([arrays[name]] * 3) for name in arrays.files}
    assert len(many["input.pixels"]) == 90
    np.savez(tmp_path / "ninety.npz", **many)
    done = command(f"./check --answers {tmp_path} {tmp_path / 'ninety.npz'}", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.load(tmp_path / "ninety.logits.npy")
    assert found.shape == (90, 10) and np.allclose(found, many["output.logits"], atol=1e-5)


@pytest.mark.parametrize("change", CHANGES)
def test_what_answers_otherwise_is_noticed(
    change: Callable[[Path], None], mailed: Path, tmp_path: Path
) -> None:
    """A model.pt2 that is newer than what was made of it is lowered anew."""
    copy = Path(shutil.copytree(mailed / "model", tmp_path / "model"))
    change(copy)
    os.utime(copy / "model.pt2")
    done = runtimes.follow_card(NAME, copy)
    assert done.returncode == 2 and "which is too far" in done.stdout


def test_a_program_that_is_none_ends_it_in_one_line(mailed: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(mailed / "model", tmp_path / "model"))
    (copy / f"runtimes/{NAME}/model.pte").write_bytes(b"no program")
    done = command("./check", copy / "runtimes" / NAME)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "ExecuTorch cannot load ./model.pte"


def test_text_is_refused(mailed: Path) -> None:
    schema = json.loads((mailed / "model/schema.json").read_text())
    text = {**schema, "inputs": {"pixels": {"dtype": "string", "shape": []}}}
    with pytest.raises(ValueError, match="executorch_cpp: inputs pixels is string, of which its"):
        program(NAME).files(mailed / "model", text)


def test_it_is_installed_apart_by_the_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "executorch/lib").mkdir(parents=True)
    monkeypatch.setattr(executorch, "INSTALLED", tmp_path)
    place = program(NAME).find()
    assert place.environment["EXECUTORCH"] == str(tmp_path / "executorch")
    assert place.environment["PYTHONPATH"] == str(tmp_path) and tmp_path in place.readable
    assert "requirements.txt" in (ROOT / "scripts/install_runtimes").read_text()
    assert (executorch.HERE.parent / "requirements.txt").read_text().startswith("executorch==")
    monkeypatch.setattr(executorch, "INSTALLED", tmp_path / "nothing")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "executorch" else find(name)
    )
    with pytest.raises(NotHere, match="executorch is not installed; install it: scripts/install_r"):
        program(NAME).find()
