import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pipeline.verification.checks import metrics
from pipeline.verification.evidence import Evidence
from testing.linear import GEMM, Linear, bias, faults, weight


def with_test(evidence: Evidence, test: Any, **changes: Any) -> Evidence:
    changed = dataclasses.replace(evidence.answers["onnx"], test=test)
    return dataclasses.replace(evidence, answers={"onnx": changed}, **changes)


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


@pytest.mark.parametrize("test", [None, np.zeros((39, 3), np.float32), np.zeros((40, 2))])
def test_answers_to_other_rows_than_the_test_split_s_are_found(
    evidence: Evidence, test: Any
) -> None:
    (found,) = faults("metrics", with_test(evidence, test))
    assert found.endswith("expected [40, 3]")


def test_a_regression_that_answers_nan_is_found_and_not_scored(evidence: Evidence) -> None:
    schema = {**evidence.schema, "target": {"dtype": "float32", "classes": None}}
    schema["outputs"] = {"price": {"dtype": "float32", "shape": [1]}}
    test = np.full((40, 1), np.nan, np.float32)
    assert faults("metrics", with_test(evidence, test, schema=schema)) == [
        "test/price: 40 values are not finite"
    ]


def test_a_format_without_tolerance_must_reach_the_very_number(evidence: Evidence) -> None:
    recorded = {"test/accuracy": 0.9 + 1e-6}
    assert list(metrics._differences({"test/accuracy": 0.9}, recorded, metrics.EXACT))
    assert not list(metrics._differences({"test/accuracy": 0.9}, recorded, metrics.ROUNDING))
