import dataclasses
from typing import Any

import numpy as np
import pytest

from pipeline.verification.checks import sensitivity
from pipeline.verification.evidence import Evidence
from testing.linear import GEMM, Linear, bias, faults, weight


def with_answers(evidence: Evidence, **changes: Any) -> Evidence:
    changed = dataclasses.replace(evidence.answers["onnx"], **changes)
    return dataclasses.replace(evidence, answers={"onnx": changed})


def test_a_model_that_tells_rows_apart_has_no_fault_and_its_movement_is_told(
    evidence: Evidence,
) -> None:
    result = sensitivity.check(evidence)
    assert result.faults == ()
    assert result.measured["onnx"]["perturbed"] == "weight"
    assert result.measured["onnx"]["perturbed_moved"] > 1e-3


def test_a_constant_model_is_found(linear: Linear) -> None:
    linear.graph(GEMM, weight=weight() * 0, bias=bias())
    linear.seal()
    found = linear.judge("sensitivity")
    assert found[0].startswith("rows of many/logits differ by 0, expected more than 0.00")


@pytest.mark.parametrize("spread", [1e-7, 1e-4])
def test_rows_that_differ_by_no_more_than_the_tolerance_are_found(
    evidence: Evidence, spread: float
) -> None:
    rows = 0.1 + spread * np.linspace(0, 1, 48, dtype=np.float32).reshape(16, 3)
    outputs = {**evidence.answers["onnx"].outputs, "many": {"logits": rows}}
    found = faults("sensitivity", with_answers(evidence, outputs=outputs))
    assert any("answers so alike prove nothing" in fault for fault in found)


def test_a_tolerance_so_wide_that_no_weight_matters_is_found(linear: Linear) -> None:
    found = linear.judge("sensitivity", atol=1e3)
    assert any("which parity does not notice; lower verify.tolerance" in text for text in found)


def test_a_perturbed_copy_that_answers_like_the_original_is_found(evidence: Evidence) -> None:
    same = evidence.answers["onnx"].outputs
    (found,) = faults("sensitivity", with_answers(evidence, perturbed=same))
    assert found.startswith("one percent on the weight weight moves the answers by 0")


def test_a_format_that_names_no_weight_is_found(linear: Linear) -> None:
    linear.graph(
        ("ReduceSum", ["pixels"], ["sum"], {}), ("Concat", ["sum"] * 3, ["logits"], {"axis": 1})
    )
    linear.seal()
    found = linear.judge("sensitivity")
    assert any("no weight could be perturbed: ValueError" in fault for fault in found)


def test_a_format_that_refuses_the_perturbed_copy_has_noticed_it(evidence: Evidence) -> None:
    error = "ValueError: its checksum does not fit"
    refusing = with_answers(evidence, perturbed={}, error=error, at="perturbed")
    result = sensitivity.check(refusing)
    assert result.faults == ()
    assert result.measured["onnx"]["perturbed_refused"] == error


def test_answers_without_a_finite_value_separate_nothing() -> None:
    assert sensitivity.separation(np.full((4, 3), np.nan)) == 0.0
    assert sensitivity.separation(np.empty((0, 3))) == 0.0
