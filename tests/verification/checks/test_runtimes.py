"""Programs in other languages: what they answered is held to the reference. Here the answers are
given; tests/runtimes has the programs themselves."""

import dataclasses
from typing import Any

import numpy as np

from pipeline.complete_model.running import Ran
from pipeline.verification.checks import runtimes
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Result

NAME = "onnx_node"


def checked(evidence: Evidence, ran: Ran, **changed: Any) -> Result:
    return runtimes.check(dataclasses.replace(evidence, ran={NAME: ran}, **changed))


def answers(evidence: Evidence, off: float = 0.0) -> Any:
    return {
        batch: {name: array + np.float32(off) for name, array in outputs.items()}
        for batch, outputs in evidence.baseline.items()
    }


def test_a_model_without_programs_has_nothing_to_check(evidence: Evidence) -> None:
    result = runtimes.check(evidence)
    assert (result.verdict, result.measured) == ("not done", {})


def test_the_reference_s_own_answers_have_no_fault_and_are_told(evidence: Evidence) -> None:
    result = checked(evidence, Ran(outputs=answers(evidence)))
    assert result.faults == ()
    assert result.measured[NAME]["max_abs_diff"] == 0.0


def test_other_answers_are_found(evidence: Evidence) -> None:
    result = checked(evidence, Ran(outputs=answers(evidence, off=0.01)))
    assert [fault.format for fault in result.faults] == ["onnx"] * len(result.faults)
    assert result.measured[NAME]["outcome"] == "failed" and "off by 0.01" in str(result.faults[0])


def test_one_that_rounds_is_held_to_that_and_no_further(evidence: Evidence) -> None:
    exact = dataclasses.replace(evidence.params.verify, tolerance={})
    params = dataclasses.replace(evidence.params, verify=exact)
    for off, count in ((5e-5, 0), (0.01, 4)):
        ran = {"aoti_cpp": Ran(outputs=answers(evidence, off))}
        result = runtimes.check(dataclasses.replace(evidence, params=params, ran=ran))
        assert [fault.format for fault in result.faults] == ["torch_export"] * count


def test_a_program_that_ended_in_an_error_is_told(evidence: Evidence) -> None:
    result = checked(evidence, Ran(fault="ended with 2: no such file"))
    assert str(result.faults[0]).count(f"{NAME}: ended with 2: no such file") == 1


def test_what_was_not_run_is_never_passed(evidence: Evidence) -> None:
    lacking = Ran(missing="found no Node; install it")
    result = checked(evidence, lacking)
    assert result.faults == () and result.measured[NAME]["outcome"] == "not run here"
    assert "is required" in str(checked(evidence, lacking, required=(NAME,)).faults[0])
