"""What is judged of the steps that a format took on; that a real one takes them, and what happens
when it is sabotaged, is in tests/end_to_end/test_continuation.py."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Training
from pipeline.verification.checks import continuation
from pipeline.verification.evidence import Evidence

EXACT = Tolerance(atol=0.0, rtol=0.0)
CLOSE = Tolerance(atol=1e-4, rtol=0.0)
REFUSED = "ModuleNotFoundError: it is refused: the model's source"


def continued(
    evidence: Evidence, tolerance: Tolerance = EXACT, changed: Mapping[str, Any] | None = None
) -> Evidence:
    """As if the format had come to what the source came to, but for `changed` kinds."""
    proofs = dict.fromkeys(evidence.sources, REFUSED)
    found = {**evidence.trained, **(changed or {})}
    given = Training(error=None, at="done", proofs=proofs, results=found)
    verify = dataclasses.replace(evidence.params.verify, continuation={"onnx": tolerance})
    params = dataclasses.replace(evidence.params, verify=verify)
    return dataclasses.replace(evidence, params=params, trainings={"onnx": given})


def faults(evidence: Evidence) -> list[str]:
    return [fault.text for fault in continuation.check(evidence).faults]


def nudged(evidence: Evidence, kind: str, name: str, by: float) -> dict[str, Any]:
    arrays = dict(evidence.trained[kind])
    return {kind: arrays | {name: arrays[name] + np.float32(by)}}


def test_the_source_s_own_steps_have_no_fault_and_are_told(evidence: Evidence) -> None:
    result = continuation.check(continued(evidence))
    assert result.faults == ()
    found = result.measured["onnx"]
    assert found["steps"] == 6 and found["rows"] == [4, 3, 4, 3, 4, 3]
    assert found["ends_epoch"] == [2] and found["tensors"] == 2
    assert found["losses"] == found["losses_of_source"]
    assert set(found["max_abs_diff"].values()) == {0.0}
    assert found["moved"] > 0.01


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("losses", "3"),
        ("state", "net/weight"),
        ("state", "optimizer/weight/momentum_buffer"),
        ("answers", "logits"),
    ],
)
def test_whatever_differs_is_found(evidence: Evidence, kind: str, name: str) -> None:
    (found,) = faults(continued(evidence, changed=nudged(evidence, kind, name, 1e-5)))
    assert found.startswith(f"{kind}/{name}: differs by up to ")
    assert faults(continued(evidence, CLOSE, nudged(evidence, kind, name, 1e-5))) == []
    (found,) = faults(continued(evidence, CLOSE, nudged(evidence, kind, name, 1e-3)))
    assert found.startswith(f"{kind}/{name}")


@pytest.mark.parametrize("tolerance", [EXACT, CLOSE])
def test_a_tensor_lost_or_added_is_found(evidence: Evidence, tolerance: Tolerance) -> None:
    lost = {"state": {"net/weight": evidence.trained["state"]["net/weight"]}}
    (found,) = faults(continued(evidence, tolerance, lost))
    assert found == "state/optimizer/weight/momentum_buffer: missing"
    more = {"state": {**evidence.trained["state"], "net/other": np.zeros(1)}}
    (found,) = faults(continued(evidence, tolerance, more))
    assert found.startswith("state/net/other: found, expected only ")


def test_a_step_that_ended_in_an_error_is_told(evidence: Evidence) -> None:
    whole = continued(evidence)
    broken = Training(error="RuntimeError: no gradient", at="step 2")
    spoilt = dataclasses.replace(whole, trainings={"onnx": broken})
    assert faults(spoilt) == ["step 2: RuntimeError: no gradient"]
    assert continuation.check(spoilt).measured["onnx"]["losses"] == []


def test_a_source_within_reach_is_told(evidence: Evidence) -> None:
    whole = continued(evidence)
    given = dataclasses.replace(whole.trainings["onnx"], proofs={"pipeline": REFUSED})
    (found,) = faults(dataclasses.replace(whole, trainings={"onnx": given}))
    assert found.startswith("the package models was not refused")


def test_steps_that_move_nothing_prove_nothing_and_are_told(evidence: Evidence) -> None:
    whole = continued(evidence)
    still = {**whole.trained, "answers": whole.baseline["seven"]}
    given = dataclasses.replace(whole.trainings["onnx"], results=still)
    asleep = dataclasses.replace(whole, trained=still, trainings={"onnx": given})
    (found,) = faults(asleep)
    assert found.startswith("the steps move the answers by 0, expected more than 0")
    (found,) = faults(continued(evidence, Tolerance(atol=10.0, rtol=0.0)))
    assert "expected more than 100" in found


def test_answers_that_have_left_the_numbers_are_told_as_such(evidence: Evidence) -> None:
    whole = continued(evidence)
    answers = {name: np.full_like(each, np.nan) for name, each in whole.baseline["seven"].items()}
    lost = {**whole.trained, "answers": answers}
    given = dataclasses.replace(whole.trainings["onnx"], results=lost)
    (found,) = faults(dataclasses.replace(whole, trained=lost, trainings={"onnx": given}))
    assert found.startswith("the answers before or after the steps are infinite or NaN")
