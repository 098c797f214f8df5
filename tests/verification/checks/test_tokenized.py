"""A tokenizer that makes other ids than the model was trained with is a fault."""

import dataclasses
from typing import Any

import numpy as np

from pipeline.sandbox.reports import Ids
from pipeline.verification.evidence import Evidence
from testing.linear import faults

TEXTS = {"tokens": {"file": "tokenizer.json", "texts": ["a b", "c"], "ids": [[2, 3], [4]]}}
REFUSED = {"pipeline": "is refused", "models": "is refused"}


def found(evidence: Evidence, *ids: list[int], **changes: Any) -> list[str]:
    made = {"tokens": {str(n): np.array(each) for n, each in enumerate(ids)}}
    report = Ids(**({"error": None, "at": "done", "ids": made, "proofs": REFUSED} | changes))
    return faults("parity", dataclasses.replace(evidence, texts=TEXTS, ids=report))


def test_the_same_ids_are_no_fault(evidence: Evidence) -> None:
    assert found(evidence, [2, 3], [4]) == []


def test_other_ids_and_missing_ones_are_named_by_their_text(evidence: Evidence) -> None:
    (fault,) = found(evidence, [2, 5], [4])
    assert fault == "tokenizer.json: found [2, 5] for 'a b', expected [2, 3]"
    (fault,) = found(evidence, [2, 3])
    assert "found nothing for 'c'" in fault


def test_a_tokenizer_that_cannot_be_read_is_a_fault(evidence: Evidence) -> None:
    (fault,) = found(evidence, error="Exception: no tokenizer", at="ids of tokens")
    assert fault == "ids of tokens: Exception: no tokenizer"


def test_ids_that_the_source_may_have_made_prove_nothing(evidence: Evidence) -> None:
    (fault,) = found(evidence, [2, 3], [4], proofs=REFUSED | {"models": None})
    assert "models was not refused" in fault
