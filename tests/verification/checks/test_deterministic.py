import dataclasses
from typing import Any

import numpy as np

from pipeline.verification.checks import deterministic
from pipeline.verification.evidence import Evidence
from testing.linear import Linear, bias, faults, weight


def with_answers(evidence: Evidence, **changes: Any) -> Evidence:
    changed = dataclasses.replace(evidence.answers["onnx"], **changes)
    return dataclasses.replace(evidence, answers={"onnx": changed})


def one_bit_off(batches: Any) -> Any:
    array = batches["many"]["logits"].copy()
    array[5, 2] = np.nextafter(array[5, 2], np.float32(9))
    return {**batches, "many": {"logits": array}}


def test_a_model_that_repeats_itself_has_no_fault(evidence: Evidence) -> None:
    assert deterministic.check(evidence).faults == ()


def test_a_model_exported_with_dropout_on_is_found(linear: Linear) -> None:
    linear.graph(
        ("Dropout", ["pixels", "ratio", "training"], ["dropped"], {}),
        ("Gemm", ["dropped", "weight", "bias"], ["logits"], {}),
        ratio=np.array(0.5, np.float32),
        training=np.array(True),
        weight=weight(),
        bias=bias(),
    )
    linear.seal()
    found = linear.judge("deterministic")
    assert any(fault.startswith("second call: many/logits: differs by") for fault in found)
    assert any(fault.startswith("second load: ") for fault in found)


def test_one_bit_in_a_second_call_is_found(evidence: Evidence) -> None:
    again = one_bit_off(evidence.answers["onnx"].again)
    (found,) = faults("deterministic", with_answers(evidence, again=again))
    assert found.startswith("second call: many/logits: differs by up to ")


def test_one_bit_after_a_second_load_is_found(evidence: Evidence) -> None:
    reloaded = one_bit_off(evidence.answers["onnx"].reloaded)
    (found,) = faults("deterministic", with_answers(evidence, reloaded=reloaded))
    assert found.startswith("second load: many/logits: differs by up to ")


def test_a_second_call_without_an_answer_is_found(evidence: Evidence) -> None:
    again = {**evidence.answers["onnx"].again, "edge": {}}
    found = faults("deterministic", with_answers(evidence, again=again))
    assert found == ["second call: edge/logits: missing"]


def test_a_normalisation_over_the_batch_left_in_training_mode_is_found(linear: Linear) -> None:
    linear.graph(
        ("ReduceMean", ["pixels"], ["mean"], {"axes": [0]}),
        ("Sub", ["pixels", "mean"], ["centred"], {}),
        ("Gemm", ["centred", "weight", "bias"], ["logits"], {}),
        weight=weight(),
        bias=bias(),
    )
    linear.seal()
    found = linear.judge("deterministic")
    assert found
    assert all(fault.startswith("a row's answer depends on its batch: ") for fault in found)


def test_rows_may_depend_on_their_batch_where_the_trained_model_does_the_same(
    evidence: Evidence,
) -> None:
    batches = evidence.answers["onnx"].outputs
    centred = {k: {"logits": v["logits"] - v["logits"].mean(0)} for k, v in batches.items()}
    alike = with_answers(evidence, outputs=centred, again=centred, reloaded=centred)
    assert faults("deterministic", alike) != []
    assert faults("deterministic", dataclasses.replace(alike, baseline=centred)) == []
