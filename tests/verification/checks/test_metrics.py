import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.training.decision import Decision
from pipeline.verification import scoring
from pipeline.verification.checks import metrics
from pipeline.verification.evidence import Evidence
from testing.linear import GEMM, ROWS, Linear, bias, faults, logits, pixels, weight

ANSWERED = 256
"""Rows that a format is asked for at once."""


def scored(
    evidence: Evidence, linear: Linear, folder: Path, *tests: np.ndarray, **changes: Any
) -> Evidence:
    """The evidence with these answers to the test split, as a format's process wrote them."""
    evidence = dataclasses.replace(evidence, **changes)
    with (folder / "test.npys").open("wb") as file:
        for test in tests:
            np.save(file, test)
    scores, unfit = scoring.score(evidence, linear.data, folder / "test.npys", ANSWERED)
    changed = dataclasses.replace(evidence.answers["onnx"], scores=scores, unfit=unfit)
    return dataclasses.replace(evidence, answers={"onnx": changed})


def write_metrics(linear: Linear, **values: float) -> None:
    for directory in (linear.checkpoint, linear.complete_model):
        named = {name.replace("_", "/"): value for name, value in values.items()}
        (directory / "metrics.json").write_text(json.dumps(named))
    linear.seal()


def test_a_model_as_good_as_it_was_trained_has_no_fault(evidence: Evidence) -> None:
    result = metrics.check(evidence)
    assert result.faults == ()
    assert result.measured["onnx"]["metrics"] == {"test/accuracy": 0.9}


def test_metrics_that_the_trained_model_never_reached_are_found(linear: Linear) -> None:
    write_metrics(linear, test_loss=0.5, test_accuracy=0.925)
    report = linear.verify()
    (fault,) = report["faults"]
    assert fault["check"] == "metrics"
    assert fault["fault"] == "test/accuracy: found 0.9, the trained model reached 0.925"


def test_a_metric_that_was_never_recorded_is_found(linear: Linear) -> None:
    write_metrics(linear, test_loss=0.5)
    (found,) = linear.judge("metrics")
    assert found == "test/accuracy: found 0.9, the checkpoint's metrics.json has none"


def test_a_model_that_lost_what_it_learnt_is_found(linear: Linear) -> None:
    linear.graph(GEMM, weight=-weight(), bias=bias())
    linear.seal()
    (found,) = linear.judge("metrics")
    assert found.endswith("the trained model reached 0.9")


@pytest.mark.parametrize(
    "tests",
    [(), (np.zeros((39, 3), np.float32),), (np.zeros((40, 2)),), (np.zeros((41, 3)),)],
)
def test_answers_to_other_rows_than_the_test_split_s_are_found(
    evidence: Evidence, healthy: Linear, tmp_path: Path, tests: tuple[np.ndarray, ...]
) -> None:
    answered = scored(evidence, healthy, tmp_path, *tests)
    (found,) = faults("metrics", answered)
    assert found.endswith("expected [40, 3]")
    assert answered.answers["onnx"].scores == {}


def test_answers_to_more_rows_than_the_test_split_has_are_found(
    evidence: Evidence, healthy: Linear, tmp_path: Path
) -> None:
    tests = [logits(pixels()), np.zeros((1, 3), np.float32)]
    assert faults("metrics", scored(evidence, healthy, tmp_path, *tests)) == [
        "test: found more rows than the test split has"
    ]


def test_answers_of_which_some_were_not_written_are_found(
    evidence: Evidence, healthy: Linear, tmp_path: Path
) -> None:
    scored(evidence, healthy, tmp_path, logits(pixels()))
    file = tmp_path / "test.npys"
    file.write_bytes(file.read_bytes()[:-4])
    scores, (found,) = scoring.score(evidence, healthy.data, file, ANSWERED)
    assert scores == {} and str(file) in found and "shape (40, 3)" in found


def test_answers_are_scored_over_all_batches_of_the_test_split(
    evidence: Evidence, healthy: Linear, tmp_path: Path
) -> None:
    file = tmp_path / "test.npys"
    with file.open("wb") as batches:
        for start in range(0, ROWS, 16):
            np.save(batches, logits(pixels()[start : start + 16]))
    assert scoring.score(evidence, healthy.data, file, 16) == ({"test/accuracy": 0.9}, ())
    _, unfit = scoring.score(evidence, healthy.data, file, ANSWERED)
    assert unfit == ("test/logits: found [16, 3], expected [40, 3]",)


def test_a_regression_that_answers_nan_is_found_and_not_scored(
    evidence: Evidence, healthy: Linear, tmp_path: Path
) -> None:
    decision = Decision(output="price", target="label", kind="value").as_mapping()
    schema = {**evidence.schema, "decisions": {"accuracy": decision}}
    schema["outputs"] = {"price": {"dtype": "float32", "shape": [1]}}
    test = np.full((40, 1), np.nan, np.float32)
    answered = scored(evidence, healthy, tmp_path, test, schema=schema)
    assert faults("metrics", answered) == ["test/price: 40 values are not finite"]
    assert answered.answers["onnx"].scores == {}


def test_a_format_without_tolerance_must_reach_the_very_number(evidence: Evidence) -> None:
    recorded = {"test/accuracy": 0.9 + 1e-6}
    assert list(metrics._differences({"test/accuracy": 0.9}, recorded, metrics.EXACT))
    assert not list(metrics._differences({"test/accuracy": 0.9}, recorded, metrics.ROUNDING))
