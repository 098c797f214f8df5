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
    assert found.startswith("1% on the weight weight moves the answers by 0")


def test_a_weight_is_known_by_its_values_whatever_a_format_calls_it_and_however_it_lies(
    linear: Linear,
) -> None:
    transposed = ("Gemm", ["pixels", "w", "b"], ["logits"], {"transB": 1})
    linear.graph(transposed, w=np.ascontiguousarray(weight().T), b=bias())
    linear.seal()
    result = sensitivity.check(linear.evidence())
    assert result.faults == ()
    assert result.measured["onnx"]["perturbed"] == "w"
    assert result.measured["onnx"]["followed"] == "weight"


def test_a_baked_constant_in_the_place_of_a_weight_is_found(linear: Linear) -> None:
    """The weight is in the file, and used: by nothing that reaches the answers."""
    nodes = (("Gemm", ["pixels", "baked", "bias"], ["logits"], {}),)
    unused = (("Mul", ["weight", "zero"], ["nothing"], {}), ("ReduceSum", ["nothing"], ["sum"], {}))
    added = (("Add", ["logits_", "sum"], ["logits"], {}),)
    nodes = (("Gemm", ["pixels", "baked", "bias"], ["logits_"], {}), *unused, *added)
    linear.graph(
        *nodes, weight=weight(), baked=weight() * (1 + 1e-7), bias=bias(), zero=np.float32(0)
    )
    linear.seal()
    (found,) = linear.judge("sensitivity")
    assert "moves the answers by 0, which parity does not notice" in found


def test_a_weight_that_only_half_of_the_answers_go_by_is_found(linear: Linear) -> None:
    """Parity holds and the change is noticed, but not as the trained model notices it."""
    halves = (
        ("Mul", ["weight", "half"], ["a"], {}),
        ("Mul", ["baked", "half"], ["b"], {}),
        ("Add", ["a", "b"], ["both"], {}),
        ("Gemm", ["pixels", "both", "bias"], ["logits"], {}),
    )
    baked = np.nextafter(weight(), np.float32(9))
    linear.graph(*halves, weight=weight(), baked=baked, bias=bias(), half=np.float32(0.5))
    linear.seal()
    assert linear.judge("parity") == []
    (found,) = linear.judge("sensitivity")
    assert "does not do to the format what it does to the trained model" in found


def test_a_checkpoint_from_before_the_record_is_judged_by_the_format_s_own_largest_weight(
    linear: Linear,
) -> None:
    (linear.checkpoint / "reference/influence.npz").unlink()
    linear.seal()
    result = sensitivity.check(linear.evidence())
    assert result.faults == ()
    assert result.measured["onnx"]["perturbed"] == "weight"
    assert result.measured["onnx"]["followed"] is None


def test_a_trained_model_that_no_weight_moves_proves_nothing(linear: Linear) -> None:
    path = linear.checkpoint / "reference/influence.npz"
    with np.load(path) as file:
        arrays = {k: v[:0] for k, v in file.items() if not k.startswith("output.")}
    np.savez(path, **arrays)
    linear.seal()
    (found,) = linear.judge("sensitivity")
    assert found.startswith("no weight moves the trained model's answers")


def alike(evidence: Evidence, spread: float, follows: bool, far: float = 0.0) -> Evidence:
    """A trained model whose rows differ by `spread`, far ones by `far`, and a format like it."""
    rows = 0.5 + np.linspace(0, 1, 48, dtype=np.float32).reshape(16, 3) * np.float32(spread)
    wide = 0.5 + np.linspace(0, 1, 36, dtype=np.float32).reshape(12, 3) * np.float32(far)
    outputs = {
        **evidence.answers["onnx"].outputs,
        "many": {"logits": rows if follows else rows[::-1]},
    }
    outputs["wide"] = {"logits": wide if follows else wide[::-1]}
    changed = dataclasses.replace(
        evidence,
        baseline={**evidence.baseline, "many": {"logits": rows}},
        wide={"wide": {"logits": wide}} if far else {},
    )
    return with_answers(changed, outputs=outputs)


@pytest.mark.parametrize(("spread", "far"), [(1e-4, 0.0), (0.0, 1e-4), (1e-8, 0.5)])
def test_rows_that_the_trained_model_itself_answers_alike_are_no_fault_and_are_told(
    evidence: Evidence, spread: float, far: float
) -> None:
    result = sensitivity.check(alike(evidence, spread, True, far))
    assert result.faults == ()
    rows = "all but far rows" if far else "the rows of many"
    assert f"the trained model answers {rows} alike" in result.measured["onnx"]["alike"]


@pytest.mark.parametrize(("spread", "far"), [(1e-4, 0.0), (0.0, 1e-4), (1e-8, 0.5)])
def test_a_format_that_does_not_follow_where_rows_are_nearly_alike_is_found(
    evidence: Evidence, spread: float, far: float
) -> None:
    found = faults("sensitivity", alike(evidence, spread, False, far))
    assert any("answers so alike prove nothing" in fault for fault in found)


def test_rows_that_are_alike_to_the_last_bit_near_and_far_are_the_trained_model_s_own(
    evidence: Evidence,
) -> None:
    result = sensitivity.check(alike(evidence, 0.0, True))
    assert result.faults == ()
    assert "answers all rows alike, far ones too" in result.measured["onnx"]["alike"]


def test_a_format_that_tells_rows_apart_which_the_trained_model_does_not_is_found(
    evidence: Evidence,
) -> None:
    same = alike(evidence, 0.0, True)
    rows = same.baseline["many"]["logits"] + np.float32(1e-5) * np.arange(16)[:, None]
    outputs = {**same.answers["onnx"].outputs, "many": {"logits": rows.astype(np.float32)}}
    (found,) = faults("sensitivity", with_answers(same, outputs=outputs))
    assert "so does the trained model, and answers so alike prove nothing" in found


LITTLE = np.float32(5e-5)


def little(evidence: Evidence, share: float) -> Evidence:
    """A trained model that its weights hardly move, and a format that moves by a share of it."""
    before = evidence.baseline["seven"]["logits"]
    known = dataclasses.replace(
        evidence.influence, moved=[LITTLE] * 2, outputs={"logits": np.stack([before + LITTLE] * 2)}
    )
    answers = evidence.answers["onnx"]
    perturbed = {**answers.outputs, "seven": {"logits": before + np.float32(share) * LITTLE}}
    changed = dataclasses.replace(evidence, influence=known)
    return with_answers(changed, perturbed=perturbed, followed=0, at=None, error=None)


def test_a_trained_model_that_its_weights_hardly_move_is_followed_closely(
    evidence: Evidence,
) -> None:
    assert faults("sensitivity", little(evidence, 1.0)) == []
    (found,) = faults("sensitivity", little(evidence, 0.5))
    assert "which parity does not notice" in found


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
