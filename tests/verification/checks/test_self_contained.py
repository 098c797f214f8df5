import dataclasses
from typing import Any

import pytest

from pipeline.sandbox.reports import Answers
from pipeline.verification.checks import self_contained
from pipeline.verification.evidence import Evidence
from testing.linear import Linear, faults


def with_clean(evidence: Evidence, **changes: Any) -> Evidence:
    changed = dataclasses.replace(evidence.without_source["onnx"], **changes)
    return dataclasses.replace(
        evidence, without_source={"onnx": changed}, answers={"onnx": changed}
    )


def needy(evidence: Evidence, clean: Answers, sourced: Answers) -> Evidence:
    """As if the format promised nothing."""
    promises = {"onnx": {**evidence.promises["onnx"], "code_free": False}}
    given = {"without_source": {"onnx": clean}, "answers": {"onnx": sourced}}
    return dataclasses.replace(evidence, promises=promises, **given)


REFUSED = Answers(error="ModuleNotFoundError: models is refused", at="first_load")


def test_a_model_that_answers_without_the_source_has_no_fault(evidence: Evidence) -> None:
    result = self_contained.check(evidence)
    assert result.faults == ()
    assert result.measured["onnx"]["refused"] == ["models", "pipeline"]
    assert result.measured["onnx"]["without_source"] == "loads and predicts"


def test_the_proofs_are_what_the_import_system_said(evidence: Evidence) -> None:
    for package, proof in evidence.without_source["onnx"].proofs.items():
        assert proof == f"ModuleNotFoundError: {package} is refused: the model's source"


def test_a_model_that_imports_its_source_at_load_is_told(evidence: Evidence) -> None:
    error = "ModuleNotFoundError: models is refused: the model's source"
    found = faults("self_contained", with_clean(evidence, error=error, at="first_load"))
    assert found == [f"loading it: {error}"]


def test_a_package_that_was_never_tried_is_told(evidence: Evidence) -> None:
    (found,) = faults("self_contained", with_clean(evidence, proofs={"pipeline": "is refused"}))
    assert "models was not tried" in found


@pytest.mark.parametrize("met", [None, "ModuleNotFoundError: No module named 'models'"])
def test_a_package_that_was_only_absent_or_even_imported_is_told(
    evidence: Evidence, met: str | None
) -> None:
    proofs = {**evidence.without_source["onnx"].proofs, "models": met}
    (found,) = faults("self_contained", with_clean(evidence, proofs=proofs))
    assert "the package models was not refused" in found


def test_packages_named_in_the_schema_must_be_refused_too(evidence: Evidence) -> None:
    schema = {**evidence.schema, "sources": ["models", "elsewhere"]}
    (found,) = faults("self_contained", dataclasses.replace(evidence, schema=schema))
    assert "elsewhere was not tried" in found


def test_a_file_that_no_runtime_can_load_is_told(linear: Linear) -> None:
    (linear.complete_model / "model.onnx").write_bytes(b"no model at all")
    linear.seal()
    (found,) = linear.judge("self_contained")
    assert found.startswith("loading it: ValueError: complete-model/model.onnx: no ONNX that can")


def test_a_format_that_promises_nothing_may_need_its_source(evidence: Evidence) -> None:
    result = self_contained.check(needy(evidence, REFUSED, evidence.without_source["onnx"]))
    assert result.faults == ()
    told = result.measured["onnx"]["without_source"]
    assert told == "loading it: ModuleNotFoundError: models is refused"


def test_a_format_that_promises_nothing_and_loads_all_the_same_has_no_fault(
    evidence: Evidence,
) -> None:
    whole = evidence.without_source["onnx"]
    assert faults("self_contained", needy(evidence, whole, whole)) == []


def test_a_format_that_fails_even_with_its_source_is_told(evidence: Evidence) -> None:
    broken = Answers(error="EOFError: the file is cut off", at="first_load")
    assert faults("self_contained", needy(evidence, REFUSED, broken)) == [
        "loading it: EOFError: the file is cut off"
    ]
