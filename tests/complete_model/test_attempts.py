"""An attempted format is held to its own promise before it is kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.complete_model import attempts
from pipeline.formats.tolerance import EXACT, Tolerance
from testing.linear import GEMM, Linear, bias, make, weight


@pytest.fixture
def linear(tmp_path: Path) -> Linear:
    return make(tmp_path / "linear")


def demand(linear: Linear) -> None:
    attempts.demand_answers("onnx", linear.complete_model, linear.checkpoint / "reference")


def test_a_faithful_one_is_kept(linear: Linear) -> None:
    demand(linear)


def test_one_beyond_its_tolerance_is_named_with_how_to_keep_it(linear: Linear) -> None:
    linear.graph(GEMM, weight=weight() * np.float32(1.01), bias=bias())
    with pytest.raises(
        ValueError, match=r"onnx: logits of the batch one is off by .* allowed"
    ) as at:
        demand(linear)
    assert "name it in export.formats and set verify.tolerance" in str(at.value)


def test_one_of_a_model_that_hangs_on_rounding_is_held_to_that(linear: Linear) -> None:
    linear.graph(GEMM, weight=weight() * np.float32(1.001), bias=bias())
    with pytest.raises(ValueError, match="where .* is allowed"):
        demand(linear)
    path = linear.checkpoint / "schema.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rounding": 0.005}))
    demand(linear)
    linear.graph(GEMM, weight=weight() * np.float32(1.1), bias=bias())
    with pytest.raises(
        ValueError, match="allowed .the last digits of its weights move the trained"
    ):
        demand(linear)


def test_one_that_does_not_answer_is_named(linear: Linear) -> None:
    nodes = (
        ("Reshape", ["pixels", "shape"], ["rows"], {}),
        ("Gemm", ["rows", "w", "b"], ["logits"], {}),
    )
    linear.graph(*nodes, w=weight(), b=bias(), shape=np.array([1, 4]))
    with pytest.raises(ValueError, match="onnx: does not answer the batch seven: ") as at:
        demand(linear)
    assert "\n" not in str(at.value)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, "is nothing, the trained model's float32"),
        (np.float64([1, 2]), "is float64"),
        (np.float32([1]), "is float32"),
        (np.float32([1, np.nan]), "is off by inf"),
        (np.float32([1, np.inf]), "is off by inf"),
        (np.float32([1, 2.1]), "is off by 0.1, where 0.003 is allowed"),
        (np.float32([1, 2.002]), ""),
    ],
)
def test_names_shapes_dtypes_and_what_is_not_finite_count(answer: np.ndarray, fault: str) -> None:
    found = attempts.difference(answer, np.float32([1, 2]), Tolerance(atol=1e-3, rtol=1e-3))
    assert found.startswith(fault) if fault else found == ""


def test_labels_are_equal_or_not() -> None:
    labels = np.array([1, 2])
    assert attempts.difference(labels, labels, EXACT) == ""
    assert attempts.difference(labels + 1, labels, EXACT) == "differs from the trained model's"
