import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.verification.checks import odd_inputs
from pipeline.verification.evidence import Evidence
from testing.linear import GEMM, Linear, bias, pixels, weight, write_questions


def of_exact(linear: Linear) -> Any:
    """What is found where every bit is promised, with a weight of float64 to keep it."""
    return odd_inputs.check(linear.evidence(atol=0.0, rtol=0.0))


def exact(evidence: Evidence) -> Evidence:
    """The trained model's answers are the format's own, for onnxruntime rounds otherwise."""
    answers = evidence.answers["onnx"].questions["0"]
    assert evidence.questions is not None
    asked = dataclasses.replace(evidence.questions, outputs=answers)
    return dataclasses.replace(evidence, questions=asked)


def test_a_nan_is_answered_with_nan(evidence: Evidence) -> None:
    result = odd_inputs.check(evidence)
    assert result.faults == ()
    assert result.measured["onnx"] == {"asked": 1, "differing": []}


SABOTAGES = {
    "passes over NaN": (
        ("IsNaN", ["pixels"], ["nan"], {}),
        ("Where", ["nan", "zero", "pixels"], ["rows"], {}),
        ("Gemm", ["rows", "weight", "bias"], ["logits"], {}),
    ),
    "refuses NaN": (
        ("IsNaN", ["pixels"], ["nan"], {}),
        ("Cast", ["nan"], ["whole"], {"to": 7}),
        ("ReduceMax", ["whole"], ["most"], {"keepdims": 0}),
        ("Gather", ["one", "most"], ["factor"], {"axis": 0}),
        ("Mul", ["pixels", "factor"], ["rows"], {}),
        ("Gemm", ["rows", "weight", "bias"], ["logits"], {}),
    ),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_what_differs_is_a_fault_where_every_bit_is_promised_and_a_word_elsewhere(
    sabotage: str, linear: Linear
) -> None:
    constants = {"zero": np.float32(0)} if "over" in sabotage else {"one": np.float32([1])}
    linear.graph(*SABOTAGES[sabotage], weight=weight(), bias=bias(), **constants)
    linear.seal()
    result = odd_inputs.check(linear.evidence())
    (told,) = result.measured["onnx"]["differing"]
    assert result.faults == () and "pixels has a NaN" in told
    assert "expected nan" in told if "over" in sabotage else "but the trained model answers" in told
    assert [fault.text[:16] for fault in of_exact(linear).faults] == ["pixels has a NaN"]


def test_an_answer_to_what_the_trained_model_refuses_is_told(linear: Linear) -> None:
    reference: Path = linear.checkpoint / "reference"
    write_questions(reference, pixels()[:1], refusal="IndexError: index out of range")
    linear.seal()
    (told,) = odd_inputs.check(linear.evidence()).measured["onnx"]["differing"]
    assert told == (
        "pixels has a NaN: answered, but the trained model refuses it "
        "(IndexError: index out of range)"
    )
    assert of_exact(linear).faults


def test_what_both_refuse_is_no_difference(linear: Linear) -> None:
    constants = {"one": np.float32([1])}
    linear.graph(*SABOTAGES["refuses NaN"], weight=weight(), bias=bias(), **constants)
    write_questions(linear.checkpoint / "reference", pixels()[:1], refusal="IndexError")
    linear.seal()
    assert of_exact(linear).faults == ()


def test_a_checkpoint_from_before_is_not_judged(linear: Linear) -> None:
    (linear.checkpoint / "reference/questions.npz").unlink()
    linear.seal()
    result = odd_inputs.check(linear.evidence())
    assert result.faults == () and result.verdict == "not done"


def test_a_healthy_format_that_promises_every_bit_has_no_fault(linear: Linear) -> None:
    linear.graph(GEMM, weight=weight(), bias=bias())
    linear.seal()
    assert odd_inputs.check(exact(linear.evidence(atol=0.0, rtol=0.0))).faults == ()
