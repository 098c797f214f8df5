"""MLflow's server answers over HTTP from the directory as it lies, and what is wrong is noticed."""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from pipeline.complete_model import card, mlmodel, running
from pipeline.runtimes import program
from pipeline.runtimes.contract import NotHere
from testing import linear, runtimes
from testing.linear import GEMM, Linear, bias, weight
from testing.runtimes import PATIENT

NAME = "mlflow"


def served(directory: Path, schema: Mapping[str, Any]) -> None:
    """Writes what MLflow reads."""
    with np.load(directory / "examples/one.npz") as example:
        mlmodel.write(directory, dict(schema), ["onnx"], example)


@pytest.fixture
def model(tmp_path: Path) -> Linear:
    runtimes.demand(NAME)
    model = linear.make(tmp_path / "model")
    served(model.complete_model, json.loads(runtimes.schema_of(model).read_text()))
    runtimes.carry(model, NAME)
    return model


def answer(directory: Path, timed: bool = False) -> running.Ran:
    files = {each: directory / f"examples/{each}.npz" for each in ("one", "seven")}
    return running.answer(NAME, directory, files, PATIENT, 1, timed=timed)


def test_verify_asks_the_server_and_times_it(model: Linear) -> None:
    limits = {"memory_gib": 4.0, "minutes": 8.0, "file_gib": 1.0}
    ran = model.verify(checks=("parity",), limits=limits)["runtimes"][NAME]
    assert ran["outcome"] == "passed" and ran["max_abs_diff"] < 1e-5 and ran["values"] == 87
    kinds = {"load_seconds", "first_seconds", "median_1_seconds", "median_32_seconds", "peak_mib"}
    assert set(ran["timing"]) == kinds and ran["timing"]["median_1_seconds"] > 0


SWAPPED = {"weight": weight()[:, [1, 0, 2]], "bias": bias()[[1, 0, 2]]}
STALE = {"weight": weight() * np.float32(1.01), "bias": bias()}


@pytest.mark.parametrize("arrays", [SWAPPED, STALE], ids=["swapped classes", "stale weights"])
def test_what_answers_otherwise_is_noticed(model: Linear, arrays: dict[str, np.ndarray]) -> None:
    model.graph(GEMM, **arrays)
    ran = answer(model.complete_model)
    assert ran.fault.endswith("which is too far") and "logits: largest difference" in ran.fault


def test_what_the_server_refuses_is_one_line(model: Linear) -> None:
    """Another model's signature: the server converts or refuses by it, before a model is asked."""
    place = model.complete_model / "MLmodel"
    place.write_text(place.read_text().replace("pixels", "pictures"))
    ran = answer(model.complete_model)
    assert "MLflow's server answers 400" in ran.fault and "\n" not in ran.fault


def test_a_directory_that_mlflow_does_not_know_is_one_line(model: Linear) -> None:
    (model.complete_model / "MLmodel").unlink()
    ran = answer(model.complete_model)
    assert "MLflow's server ended with" in ran.fault and "\n" not in ran.fault


KINDS = {
    "float32": np.array([[0.1, -3e38], [np.nan, np.inf]], np.float32),
    "float64": np.array([[0.1, -1e300], [5e-324, 2.0]]),
    "bool": np.array([[True, False], [False, True]]),
    "int32": np.array([[-(2**31), 2**31 - 1], [0, 1]], np.int32),
    "int64": np.array([[-(2**63), 2**63 - 1], [0, 1]]),
    "uint8": np.array([[0, 255], [1, 2]], np.uint8),
    "string": np.array([["Oslo", ""], ["北京", '"']]),
}


def test_each_type_that_it_takes_goes_there_and_back_as_it_is(tmp_path: Path) -> None:
    runtimes.demand(NAME)
    (tmp_path / "examples").mkdir()
    outputs = {f"{name}_again": array for name, array in KINDS.items()}
    for batch, rows in {"one": 1, "seven": 2}.items():
        given = ({k: each[:rows] for k, each in side.items()} for side in (KINDS, outputs))
        runtimes.save(tmp_path / f"examples/{batch}.npz", *given)
    numbers = {name: array.dtype for name, array in KINDS.items() if name != "string"}
    types = {name: helper.np_dtype_to_tensor_dtype(dtype) for name, dtype in numbers.items()}
    types["string"] = TensorProto.STRING
    sides = [
        [helper.make_tensor_value_info(f"{name}{end}", types[name], ["batch", 2]) for name in KINDS]
        for end in ("", "_again")
    ]
    nodes = [helper.make_node("Identity", [name], [f"{name}_again"]) for name in KINDS]
    graph = helper.make_graph(nodes, "same", *sides)
    opset = [helper.make_opsetid("", 18)]
    (tmp_path / "model.onnx").write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    )
    schema = {"inputs": runtimes.described(KINDS), "outputs": runtimes.described(outputs)}
    served(tmp_path, schema)
    runtimes.write(NAME, tmp_path, schema)
    ran = answer(tmp_path)
    assert (ran.missing, ran.fault) == ("", "")
    for name, expected in outputs.items():
        assert ran.outputs["seven"][name].tobytes() == expected.tobytes(), name


def test_without_mlflow_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotHere, match="^mlflow is not installed; install it: pip install mlflow"):
        program(NAME).find()


def test_this_package_is_refused_to_the_server(model: Linear) -> None:
    place = program(NAME).find()
    assert (Path(place.environment["PYTHONPATH"]) / "pipeline.py").is_file()
    ours = Path(card.__file__).parents[1]
    assert not any(ours.is_relative_to(each) for each in place.readable)
