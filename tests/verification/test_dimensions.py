"""A format answers in every size that the dimensions may have, or it is at fault."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.data.ragged import offsets_of
from pipeline.data.sizes import of_batches
from testing.linear import CLASSES, FEATURES, Linear, bias, faults, weight, write_influence

LENGTH, ROWS = 6, 12
SCHEMA = {
    "inputs": {"pixels": {"dtype": "float32", "shape": ["length", FEATURES], "pad": 0}},
    "targets": {"label": {"dtype": "int64", "shape": [], "classes": CLASSES, "labels": None}},
    "rows": {"train": 0, "val": 0, "test": ROWS},
    "dimensions": {"length": {"least": 1, "most": 20}},
}
DECISION = {"output": "logits", "target": "label", "kind": "argmax", "classes": CLASSES, "axis": 1}


def answers(pixels: np.ndarray) -> np.ndarray:
    """The mean over the length goes through a linear classifier."""
    return (pixels.mean(axis=1) @ weight() + bias()).astype(np.float32)


def rows(count: int, length: int) -> np.ndarray:
    values = np.random.default_rng(length).normal(size=(count, length, FEATURES))
    return values.astype(np.float32)


def graph(*, length: int | None) -> bytes:
    """The classifier, or one for which each row has so many values."""
    share = np.array(1 / (length or 1), np.float32)
    mean = [
        helper.make_node("ReduceSum", ["pixels", "axis"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "share"], ["mean"]),
    ]
    if length is None:
        mean = [helper.make_node("ReduceMean", ["pixels", "axis"], ["mean"], keepdims=0)]
    made = helper.make_graph(
        [*mean, helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"])],
        "mean",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", "length", FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", CLASSES])],
        [
            numpy_helper.from_array(np.array([1]), "axis"),
            *([numpy_helper.from_array(share, "share")] if length else []),
            numpy_helper.from_array(weight(), "weight"),
            numpy_helper.from_array(bias(), "bias"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make(root: Path) -> Linear:
    """A complete model whose own rows all have LENGTH values."""
    made = Linear(root)
    folders = ("complete-model/examples", "checkpoint/reference", "data/test/inputs")
    for folder in (*folders, "data/test/targets", "data/test/offsets"):
        (root / folder).mkdir(parents=True)
    test = rows(ROWS, LENGTH)
    np.save(made.data / "test/inputs/pixels.npy", test.reshape(-1, FEATURES))
    np.save(made.data / "test/offsets/length.npy", offsets_of([LENGTH] * ROWS))
    np.save(made.data / "test/targets/label.npy", answers(test).argmax(axis=1))
    (made.data / "schema.json").write_text(json.dumps(SCHEMA))
    outputs = {"logits": {"dtype": "float32", "shape": [CLASSES]}}
    schema = SCHEMA | {"outputs": outputs, "sources": ["models"], "epoch": 1, "seed": 5}
    schema |= {"decisions": {"accuracy": DECISION}, "predictions": DECISION}
    for directory in (made.checkpoint, made.complete_model):
        (directory / "schema.json").write_text(json.dumps(schema))
        scores = {"test/loss": 0.5, "test/accuracy": 1.0}
        (directory / "metrics.json").write_text(json.dumps(scores))
    _write_reference(made.checkpoint / "reference", test)
    for name in ("one", "seven"):
        content = (made.checkpoint / f"reference/{name}.npz").read_bytes()
        (made.complete_model / f"examples/{name}.npz").write_bytes(content)
    (made.complete_model / "README.md").write_text("A model to be verified.\n")
    held = {"held": ["onnx"], "trains": [], "refused": {}}
    (made.complete_model / "formats.json").write_text(json.dumps(held))
    return made


def _write_reference(reference: Path, test: np.ndarray) -> None:
    batches = {"one": test[:1], "seven": test[:7], "many": test, "edge": test[:2]}
    for name, dimensions in of_batches(SCHEMA).items():
        batches[name] = rows(3, dimensions["length"])
    for name, batch in batches.items():
        arrays = {"input.pixels": batch, "output.logits": answers(batch)}
        np.savez(reference / f"{name}.npz", **arrays)
    none = {"loss": np.zeros(1), "ends_epoch": np.zeros(1, bool), "step": np.zeros(1, int)}
    np.savez(reference / "training.npz", **none)
    np.savez(reference / "trained.npz", **{"answers/logits": answers(test[:7])})
    write_influence(reference, test[:7].mean(axis=1))


@pytest.fixture
def varying(tmp_path: Path) -> Linear:
    return make(tmp_path)


def with_graph(model: Linear, content: bytes) -> Linear:
    (model.complete_model / "model.onnx").write_bytes(content)
    model.seal()
    return model


CHECKS = ("integrity", "self_contained", "parity", "deterministic", "sensitivity", "metrics")


def test_a_format_that_answers_in_every_size_has_no_fault(varying: Linear) -> None:
    report = with_graph(varying, graph(length=None)).verify(checks=CHECKS)
    assert report["passed"], report["faults"]


def test_a_length_that_is_a_constant_of_the_graph_is_a_fault(varying: Linear) -> None:
    """All the model's own rows, and so its metrics, are as they should be."""
    evidence = with_graph(varying, graph(length=LENGTH)).evidence()
    found = faults("parity", evidence)
    assert {fault.partition("/")[0] for fault in found} == {"shortest", "between", "longest"}
    assert not faults("metrics", evidence)


def test_a_reference_without_a_size_is_incomplete(varying: Linear) -> None:
    with_graph(varying, graph(length=None))
    (varying.checkpoint / "reference/longest.npz").unlink()
    with pytest.raises(
        Exception, match=r"longest.npz: missing; run `dvc repro --force checkpoint`"
    ):
        varying.evidence()
