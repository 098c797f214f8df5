import dataclasses

import numpy as np
import pytest

from pipeline.sandbox.worker.perturbation import MOST_ROUNDING
from pipeline.verification.checks import parity
from pipeline.verification.evidence import Evidence
from testing.linear import GEMM, Linear, bias, faults, weight

Arrays = dict[str, np.ndarray]


def answering(evidence: Evidence, batch: str, arrays: Arrays) -> Evidence:
    answers = evidence.answers["onnx"]
    changed = dataclasses.replace(answers, outputs={**answers.outputs, batch: arrays})
    return dataclasses.replace(evidence, answers={"onnx": changed})


def with_value(evidence: Evidence, value: float) -> Evidence:
    array = evidence.answers["onnx"].outputs["seven"]["logits"].copy()
    array[3, 1] = value
    return answering(evidence, "seven", {"logits": array})


def test_a_faithful_model_has_no_fault(evidence: Evidence) -> None:
    result = parity.check(evidence)
    assert result.faults == ()
    assert result.measured["onnx"]["values"] == (1 + 7 + 16 + 5) * 3
    assert 0 <= result.measured["onnx"]["max_abs_diff"] < 1e-5


def test_a_changed_weight_is_found_though_the_statement_fits(linear: Linear) -> None:
    changed = weight()
    changed[2, 1] += 0.01
    linear.graph(GEMM, weight=changed, bias=bias())
    linear.seal()
    report = linear.verify()
    assert report["checks"]["integrity"]["passed"]
    assert not report["checks"]["parity"]["passed"]
    assert {fault["format"] for fault in report["faults"]} == {"onnx"}


@pytest.mark.parametrize(
    "program",
    [
        {"weight": weight()[:, ::-1].copy(), "bias": bias()[::-1].copy()},
        {"weight": weight(), "bias": bias() * 0},
        {"weight": weight() * np.float32(1.1), "bias": bias()},
        {"weight": weight() + np.float32(0.05) * np.eye(4, 3, dtype=np.float32), "bias": bias()},
    ],
    ids=["classes", "bias", "scale", "weight"],
)
def test_what_a_model_that_hangs_on_rounding_may_be_off_hides_no_wrong_program(
    linear: Linear, program: Arrays
) -> None:
    """However much it does: classes that changed places, a bias that was dropped, rows that are not
    normalised, a weight that is another."""
    linear.graph(GEMM, **program)
    assert linear.judge("parity", atol=MOST_ROUNDING, rtol=MOST_ROUNDING)


@pytest.mark.parametrize("batch", ["one", "seven", "many", "edge"])
def test_a_batch_without_answers_is_a_fault(evidence: Evidence, batch: str) -> None:
    assert faults("parity", answering(evidence, batch, {})) == [f"{batch}/logits: missing"]


def test_a_renamed_output_is_missing_and_extra(evidence: Evidence) -> None:
    (array,) = evidence.answers["onnx"].outputs["one"].values()
    assert faults("parity", answering(evidence, "one", {"output_0": array})) == [
        "one/logits: missing",
        "one/output_0: found, expected only logits",
    ]


def test_another_dtype_is_a_fault(evidence: Evidence) -> None:
    array = evidence.answers["onnx"].outputs["one"]["logits"].astype(np.float64)
    (found,) = faults("parity", answering(evidence, "one", {"logits": array}))
    assert found == "one/logits: found float64[1, 3], expected float32[1, 3]"


def test_another_shape_is_a_fault(evidence: Evidence) -> None:
    array = evidence.answers["onnx"].outputs["one"]["logits"][0]
    (found,) = faults("parity", answering(evidence, "one", {"logits": array}))
    assert found == "one/logits: found float32[3], expected float32[1, 3]"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_a_fault_and_named(evidence: Evidence, value: float) -> None:
    (found,) = faults("parity", with_value(evidence, value))
    assert found.startswith(f"seven/logits[3, 1]: found {value}, expected ")


def test_a_nan_of_the_trained_model_must_be_answered_with_nan(evidence: Evidence) -> None:
    array = evidence.baseline["seven"]["logits"].copy()
    array[3, 1] = np.nan
    sick = dataclasses.replace(evidence, baseline={**evidence.baseline, "seven": {"logits": array}})
    (found,) = faults("parity", sick)
    assert "expected nan (1 of 21 values at fault)" in found
    assert faults("parity", with_value(sick, np.nan)) == []


def test_a_difference_above_the_tolerance_is_named_with_it(evidence: Evidence) -> None:
    value = float(evidence.baseline["seven"]["logits"][3, 1])
    assert faults("parity", with_value(evidence, value + 5e-5)) == []
    (found,) = faults("parity", with_value(evidence, value + 0.25))
    assert found.startswith("seven/logits[3, 1]: ")
    assert "off by 0.25 where 0.000" in found


def test_a_zero_tolerance_lets_no_bit_pass(linear: Linear) -> None:
    changed = bias()
    changed[0] = np.nextafter(changed[0], np.float32(9))
    linear.graph(GEMM, weight=weight(), bias=changed)
    linear.seal()
    assert linear.judge("parity", atol=0.0, rtol=0.0) != []


def test_integers_compare_exactly_whatever_the_tolerance(evidence: Evidence) -> None:
    labels = np.arange(7)
    counting = dataclasses.replace(
        answering(evidence, "seven", {"logits": labels + (labels == 4)}),
        baseline={**evidence.baseline, "seven": {"logits": labels}},
    )
    (found,) = faults("parity", counting)
    assert found == "seven/logits[4]: found 5, expected 4 (1 of 7 values at fault)"
