"""C runs the ONNX file through the table of functions of ONNX Runtime's library, and what is wrong
with either is noticed there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.runtimes import onnx_c, program
from pipeline.runtimes.contract import NotHere
from pipeline.tracking.content import verdict
from testing import runtimes
from testing.linear import OTHERWISE, Linear

NAME = "onnx_c"
FUNCTIONS = """
static const void *none(unsigned version) { return 0; }
static const char *version(void) { return "9.0.0"; }
static const void *base[] = {none, version};
const void *OrtGetApiBase(void) { return base; }
"""
"""A library that has no table of the first version."""


def test_it_answers_as_the_trained_model_and_is_timed(model: Linear) -> None:
    report = model.verify(checks=("parity",))
    ran = report["runtimes"][NAME]
    assert ran["outcome"] == "passed" and ran["max_abs_diff"] < 1e-6 and ran["values"] == 87
    metrics = verdict(report)
    for kind in ("load", "first", "median_1", "median_32"):
        assert metrics[f"verify/{NAME}/{kind}_seconds"] > 0


@pytest.mark.parametrize(("nodes", "arrays"), OTHERWISE.values(), ids=OTHERWISE)
def test_what_answers_otherwise_is_noticed(model: Linear, nodes, arrays) -> None:
    model.graph(*nodes, **arrays)
    ran = runtimes.answer(NAME, model.complete_model)
    assert ran.fault.endswith("which is too far") and "logits: largest difference" in ran.fault


def test_the_card_is_followed_in_a_copy(model: Linear, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model.complete_model, tmp_path / "mailed"))
    done = runtimes.follow_card(NAME, copy)
    assert done.returncode == 0, done.stderr
    assert "seven.npz logits: largest difference" in done.stdout
    assert "warning" not in done.stdout + done.stderr


def test_a_library_without_the_functions_is_refused_in_one_line(
    model: Linear, tmp_path: Path
) -> None:
    library = tmp_path / "other/capi/libonnxruntime.so.9.0.0"
    library.parent.mkdir(parents=True)
    (tmp_path / "other.c").write_text(FUNCTIONS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True)
    done = runtimes.follow_card(NAME, model.complete_model, ONNXRUNTIME=str(tmp_path / "other"))
    last = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert last == ["expected the first version of ONNX Runtime's functions, which it lacks: 9.0.0"]
    assert done.returncode == 2


def test_a_wheel_without_a_library_is_not_run(
    model: Linear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime/__init__.py").write_text("")
    done = runtimes.follow_card(
        NAME, model.complete_model, ONNXRUNTIME=str(tmp_path / "onnxruntime")
    )
    assert done.returncode == 2 and "found no libonnxruntime.so in" in done.stderr
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotHere, match=r"found no capi/libonnxruntime.so.\* in .*/onnxruntime, exp"):
        program(NAME).find()


def test_a_file_that_is_none_ends_it_in_one_line(model: Linear) -> None:
    (model.complete_model / "model.onnx").write_text("no graph")
    fault = runtimes.answer(NAME, model.complete_model).fault
    assert "ONNX Runtime: " in fault and "model.onnx" in fault and "\n" not in fault


WORDS = ("ž", "", "北京", "🙂 two")


def echoing(folder: Path) -> dict[str, dict[str, object]]:
    """Makes a model that gives back what goes in, and says which of the words are 北京."""
    types = {name: helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in kinds()}
    size = ["rows", "length"]
    given = [helper.make_tensor_value_info(n, kind, size) for n, kind in types.items()]
    given.append(helper.make_tensor_value_info("word", TensorProto.STRING, size))
    taken = [helper.make_tensor_value_info(f"{n}_out", kind, size) for n, kind in types.items()]
    taken.append(helper.make_tensor_value_info("there", TensorProto.BOOL, size))
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in types]
    nodes.append(helper.make_node("Equal", ["word", "place"], ["there"]))
    place = numpy_helper.from_array(np.array(["北京"], object), "place")
    graph = helper.make_graph(nodes, "echo", given, taken, [place])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    for batch, (rows, length) in {"one": (1, 3), "seven": (7, 5)}.items():
        numbers = np.arange(rows * length).reshape(rows, length)
        word = np.array([WORDS[n % 4] for n in numbers.ravel()]).reshape(rows, length)
        inputs = {name: numbers.astype(name) for name in types}
        outputs = {f"{name}_out": each for name, each in inputs.items()}
        inputs["word"], outputs["there"] = word, word == "北京"
        runtimes.save(folder / f"examples/{batch}.npz", inputs, outputs)
    return {"inputs": runtimes.described(inputs), "outputs": runtimes.described(outputs)}


def kinds() -> list[str]:
    return [each for each in onnx_c.RUNTIME.types if each != "string"]


def test_every_type_and_text_of_any_length_goes_in(tmp_path: Path) -> None:
    runtimes.demand(NAME)
    schema = echoing(tmp_path)
    runtimes.write(NAME, tmp_path, schema)
    ran = runtimes.answer(NAME, tmp_path)
    assert ran.fault == ""
    expected = runtimes.outputs_of(tmp_path / "examples/seven.npz")
    assert len(expected) == 12 and expected["there"].any()
    for name, each in expected.items():
        found = ran.outputs["seven"][name]
        assert found.dtype == each.dtype and (found == each).all(), name


def test_text_that_comes_out_is_refused(model: Linear) -> None:
    schema = json.loads(runtimes.schema_of(model).read_text())
    schema["outputs"]["logits"]["dtype"] = "string"
    with pytest.raises(ValueError, match="onnx_c: outputs logits is text"):
        program(NAME).files(model.complete_model, schema)
