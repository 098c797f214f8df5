"""The rows at the edge of what a model has seen."""

import numpy as np
import pytest

from pipeline import checkpoint
from pipeline.checkpoint import edges


@pytest.mark.parametrize("rows", [2, 3, 100])
def test_edges_of_texts_are_first_last_empty_and_two_unseen(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SORTED_ROWS", rows)
    texts = np.array([["m", "z"], ["b", "Łódź"], ["Ω", "a b"], ["c", "y"], ["a", "x"]])
    found = edges(texts)
    assert found.dtype.kind == "U" and found.shape == (5, 2)
    assert found[:3].tolist() == [["a", "a b"], ["Ω", "Łódź"], ["", ""]]
    assert not np.isin(found[3:], texts).any()
    assert edges(texts[:, 0]).tolist() == found[:, 0].tolist()


def test_edges_of_numbers_leave_both_ranges_behind() -> None:
    found = edges(np.float32([[1, 5], [3, 5]]))
    assert found.tolist() == [[1, 5], [3, 5], [0, 0], [-5, 5], [9, 5]]
    assert edges(np.uint8([1, 3])).tolist() == [1, 3, 0, 1, 3]
