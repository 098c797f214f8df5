"""C++ runs `model.pt2`, compiled over the weights in the file, and what is wrong with these is
noticed there."""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipeline.runtimes import program
from pipeline.runtimes.aoti_cpp import program as aoti
from testing import carried, runtimes
from testing.changed_weights import CHANGES, tensor

NAME = "aoti_cpp"


command = partial(runtimes.command, NAME)


@pytest.fixture(scope="module")
def mailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried.mailed(tmp_path_factory, NAME)


def test_the_card_is_followed_in_a_copy(mailed: Path) -> None:
    said = (mailed / "said").read_text()
    assert "seven.npz logits: largest difference" in said and "warning:" not in said


def test_what_was_built_needs_no_python_and_holds_no_weight(mailed: Path) -> None:
    folder = mailed / "model/runtimes" / NAME
    loaded = [line.split()[0] for line in command("ldd ./check", folder).stdout.splitlines()]
    assert "libtorch_cpu.so" in loaded and not any("python" in name for name in loaded)
    weight = tensor(mailed / "model", "layers.0.weight").tobytes()[:64]
    assert weight in (mailed / "model/model.pt2").read_bytes()
    assert weight not in (folder / "check").read_bytes()


@pytest.mark.parametrize("change", CHANGES)
def test_what_answers_otherwise_is_noticed(
    change: Callable[[Path], None], mailed: Path, tmp_path: Path
) -> None:
    """The weights are those that lie there when it starts."""
    copy = Path(shutil.copytree(mailed / "model", tmp_path / "model"))
    change(copy)
    done = command("./check", copy / "runtimes" / NAME)
    assert done.returncode == 1 and "which is too far" in done.stdout


def test_weights_that_are_gone_are_told(mailed: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(mailed / "model", tmp_path / "model", copy_function=os.link))
    (copy / "model.pt2").unlink()
    done = command("./check", copy / "runtimes" / NAME)
    assert done.returncode == 2 and "model.pt2" in done.stderr.splitlines()[-1]


def test_an_operator_that_takes_an_interpreter_ends_the_build_by_name(tmp_path: Path) -> None:
    """As AOTInductor writes of linalg.inv: C++ that looks it up, and a list of what it looks up."""
    spec = importlib.util.spec_from_file_location("compile", aoti.HERE / "compile.py")
    assert spec and spec.loader
    compiling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiling)
    nodes = {"nodes": [{"name": "buf2", "node": {"target": "aten::linalg_inv_ex"}}]}
    contents = {
        "data/c7.wrapper.cpp": b"aoti_torch_proxy_executor_call_function(proxy_executor, 0, ...",
        "data/c7.wrapper.json": json.dumps(nodes).encode(),
    }
    with pytest.raises(SystemExit, match="error: AOTInductor makes no C.. of aten::linalg_inv_ex$"):
        compiling.write(tmp_path, contents, {}, {})
    read = {"data/c7.wrapper.cpp": b'constants_info_[0].original_fqn = "made";'}
    with pytest.raises(SystemExit, match="reads made, which model.pt2 does not hold"):
        compiling.write(tmp_path, read, {}, {})


def test_text_and_other_names_are_refused(mailed: Path) -> None:
    model = mailed / "model"
    schema = json.loads((model / "schema.json").read_text())
    text = {**schema, "inputs": {"pixels": {"dtype": "string", "shape": []}}}
    with pytest.raises(ValueError, match="aoti_cpp: inputs pixels is string, of which its program"):
        program(NAME).files(model, text)
    other = {**schema, "outputs": {"answer": schema["outputs"]["logits"]}}
    with pytest.raises(
        ValueError, match=r"found outputs \['logits'\] in model.pt2, expected \['an"
    ):
        program(NAME).files(model, other)
