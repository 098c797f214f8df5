"""A state is held to the reference's digests, and by value where a format may round."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Tolerance
from pipeline.sandbox.reports import Training
from pipeline.sandbox.worker.report import digest_of
from pipeline.verification.checks import continuation
from pipeline.verification.evidence import STATE, Evidence
from pipeline.verification.state import by_digest, is_the_reference, with_values
from testing.linear import make

EXACT, CLOSE = Tolerance(atol=0.0, rtol=0.0), Tolerance(atol=1e-4, rtol=0.0)
NAME = "net/weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Has the reference's state by value."""
    return make(tmp_path_factory.mktemp("linear")).evidence()


@pytest.fixture
def evidence(whole: Evidence) -> Evidence:
    """Has one tensor of it by digest."""
    values = dict(whole.trained[STATE])
    digests = {NAME: digest_of(values.pop(NAME))}
    return dataclasses.replace(
        whole, trained={**whole.trained, STATE: values}, state_digests=digests
    )


def judged(evidence: Evidence, trainings: dict[str, Training], close: str = "") -> Evidence:
    """As if the formats had come to these; that of one may be off."""
    verify = dataclasses.replace(evidence.params.verify, continuation={close: CLOSE})
    params = dataclasses.replace(evidence.params, verify=verify)
    return dataclasses.replace(evidence, params=params, trainings=trainings)


def training(evidence: Evidence, results: object) -> Training:
    proofs = dict.fromkeys(evidence.sources, "ModuleNotFoundError: it is refused: the source")
    return Training(error=None, at="done", proofs=proofs, results=results)  # type: ignore[arg-type]


def faults(evidence: Evidence) -> list[tuple[str | None, str]]:
    return [(fault.format, fault.text) for fault in continuation.check(evidence).faults]


def test_one_bit_one_name_or_one_digest_is_another_state(
    whole: Evidence, evidence: Evidence
) -> None:
    digests = {name: digest_of(array) for name, array in whole.trained[STATE].items()}
    assert is_the_reference(digests, whole) and is_the_reference(digests, evidence)
    for spoilt in (
        {**digests, NAME: digests[NAME][::-1]},
        {**digests, "net/other": digests[NAME]},
        {name: each for name, each in digests.items() if name != NAME},
        *({**digests, name: "0"} for name in digests),
    ):
        assert not is_the_reference(spoilt, evidence)


@pytest.mark.parametrize("tolerance", [EXACT, CLOSE])
def test_what_is_known_by_digest_must_have_it(
    whole: Evidence, evidence: Evidence, tolerance: Tolerance
) -> None:
    found, rest = by_digest(whole.trained, evidence, tolerance)
    assert found == [] and rest[STATE].keys() == evidence.trained[STATE].keys()
    state = dict(whole.trained[STATE])
    state[NAME] = np.nextafter(state[NAME], np.float32(9))
    (fault,) = by_digest({STATE: state}, evidence, tolerance)[0]
    assert fault.startswith(f"state/{NAME}: its sha256 is not the reference's")
    assert ("dvc repro --force checkpoint" in fault) == (tolerance == CLOSE)
    del state[NAME]
    assert by_digest({STATE: state}, evidence, tolerance)[0] == [f"state/{NAME}: missing"]


def test_the_check_finds_one_bit_of_a_tensor_that_is_known_by_digest(
    whole: Evidence, evidence: Evidence
) -> None:
    same = judged(evidence, {"onnx": training(evidence, dict(whole.trained))})
    assert faults(same) == []
    assert continuation.check(same).measured["onnx"]["tensors"] == 2
    state = dict(whole.trained[STATE])
    state[NAME] = state[NAME].copy()
    state[NAME].view(np.uint8)[0] ^= 1
    spoilt = judged(evidence, {"onnx": training(evidence, {**whole.trained, STATE: state})})
    assert faults(spoilt) == [("onnx", f"state/{NAME}: its sha256 is not the reference's")]


def test_values_come_from_the_training_whose_digests_are_the_reference_s(
    whole: Evidence, evidence: Evidence
) -> None:
    state = {name: array + np.float32(1e-6) for name, array in whole.trained[STATE].items()}
    rounded = training(evidence, {**whole.trained, STATE: state})
    given = {"torch_export": training(evidence, evidence.trained), "onnx": rounded}
    asked: list[str] = []

    def values(name: str) -> Training:
        asked.append(name)
        return training(evidence, dict(whole.trained))

    known = judged(evidence, given, close="onnx")
    assert [format for format, _ in faults(known)] == ["onnx"]  # nothing to compare it with
    full = with_values(known, values)
    assert asked == ["torch_export"] and full.state_digests == {}
    assert faults(full) == []
    assert continuation.check(full).measured["onnx"]["max_abs_diff"]["state"] > 0
    far = training(evidence, {**whole.trained, STATE: {**state, NAME: state[NAME] + 1}})
    full = with_values(judged(evidence, given | {"onnx": far}, close="onnx"), values)
    (fault,) = faults(full)
    assert fault[0] == "onnx" and fault[1].startswith(f"state/{NAME}[")


def test_values_that_have_other_digests_are_not_taken(whole: Evidence, evidence: Evidence) -> None:
    given = {"torch_export": training(evidence, evidence.trained), "onnx": training(evidence, {})}
    known = judged(evidence, given, close="onnx")
    state = {name: array + np.float32(1) for name, array in whole.trained[STATE].items()}
    assert with_values(known, lambda _: training(evidence, {STATE: state})) is known
    assert with_values(known, lambda _: Training(error="it died", at="start")) is known


def test_nothing_is_taken_again_where_all_promise_equal_bits(evidence: Evidence) -> None:
    known = judged(evidence, {"torch_export": training(evidence, evidence.trained)})

    def never(name: str) -> Training:
        raise AssertionError(name)

    assert with_values(known, never) is known


def test_a_reference_of_digests_is_read(tmp_path: Path) -> None:
    made = make(tmp_path / "linear")
    path = made.checkpoint / "reference/trained.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    digest = digest_of(content.pop(f"state/{NAME}"))
    np.savez(path, **content, **{f"digest/{NAME}": np.array(digest)})
    found = made.evidence()
    assert found.state_digests == {NAME: digest}
    assert set(found.trained) == {"answers", "losses", STATE} and NAME not in found.trained[STATE]
