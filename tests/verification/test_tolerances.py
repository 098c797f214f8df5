"""How far a format may be off, on a processor like that of the reference and on another."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.params import Tolerance
from pipeline.provenance.environments import environment, this_platform
from pipeline.verification import tolerances
from pipeline.verification.comparison import EXACT
from pipeline.verification.evidence import Evidence
from testing.linear import make


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return make(tmp_path_factory.mktemp("linear")).evidence()


def statement(**environment: str) -> dict[str, Any]:
    return {"predicate": {"buildDefinition": {"internalParameters": environment}}}


def test_what_was_made_on_such_a_processor_is_held_to_every_bit(evidence: Evidence) -> None:
    assert tolerances.other_processor(statement(platform=this_platform())) is None
    verify = evidence.params.verify
    for of in (tolerances.of_answers, tolerances.of_training):
        assert of(verify, "torch_export", exact=True) == EXACT == of(verify, "torch_export")


@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-x86_64 OfAnother avx2"])
def test_another_processor_or_one_that_is_not_told_is_named(platform: str) -> None:
    said = tolerances.other_processor(statement(platform=platform))
    assert said and platform in said and this_platform() in said


def test_elsewhere_equal_bits_become_rounding_and_nothing_else_does(evidence: Evidence) -> None:
    verify = evidence.params.verify
    answers = tolerances.of_answers(verify, "torch_export", exact=False)
    steps = tolerances.of_training(verify, "torch_export", exact=False)
    assert answers != EXACT and answers.atol < steps.atol <= 1e-4
    here = tolerances.of_answers(verify, "onnx")
    assert tolerances.of_answers(verify, "onnx", exact=False) == here != EXACT
    wide = Tolerance(atol=0.5, rtol=0.0)
    own = dataclasses.replace(verify, tolerance={"torch_export": wide})
    assert tolerances.of_answers(own, "torch_export", exact=False) == wide


def test_a_statement_names_the_processor_beside_the_system() -> None:
    assert environment()["platform"] == this_platform()
    told = Path("/proc/cpuinfo").read_text()
    system, *processor = this_platform().split()
    assert system.startswith("linux-")
    assert all(word in told for word in processor)


def test_a_model_that_hangs_on_rounding_is_held_to_that_by_what_rounds(evidence: Evidence) -> None:
    verify = dataclasses.replace(evidence.params.verify, tolerance={})
    hanging, steady = {"rounding": 0.002}, {"rounding": 1e-6}
    declared = tolerances.of_answers(verify, "onnx")
    assert tolerances.of_answers(verify, "onnx", schema=hanging) == Tolerance(atol=2e-3, rtol=2e-3)
    assert tolerances.of_answers(verify, "onnx", schema=steady) == declared
    for name in ("torch_export", "saved_model", "keras_archive"):
        own = tolerances.of_answers(verify, name)
        assert tolerances.of_answers(verify, name, schema=hanging) == own
    set_by_hand = dataclasses.replace(verify, tolerance={"onnx": EXACT})
    assert tolerances.of_answers(set_by_hand, "onnx", schema=hanging) == EXACT
