"""The rows at the edge of what a model has seen."""

import numpy as np
import pytest

from pipeline.data import on_disk
from pipeline.reference.edges import edges, far, may_be_missing, with_missing


@pytest.mark.parametrize("rows", [2, 3, 100])
def test_edges_of_texts_are_first_last_empty_and_two_unseen(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "BLOCK", rows * 2 * 4 * len("Łódź"))
    texts = np.array([["m", "z"], ["b", "Łódź"], ["Ω", "a b"], ["c", "y"], ["a", "x"]])
    found = edges(texts)
    assert found.dtype.kind == "U" and found.shape == (5, 2)
    assert found[:3].tolist() == [["a", "a b"], ["Ω", "Łódź"], ["", ""]]
    assert not np.isin(found[3:], texts).any()
    assert edges(texts[:, 0]).tolist() == found[:, 0].tolist()


def test_edges_of_numbers_leave_both_ranges_behind() -> None:
    found = edges(np.float32([[1, 5], [3, 5]]))
    assert found.tolist() == [[1, 5], [3, 5], [0, 0], [-5, 5], [9, 5]]


def test_edges_of_integers_are_values_that_occur_in_their_place() -> None:
    ids = np.array([[1, 0], [4, 7], [2, 0]])
    assert edges(ids).tolist() == [[1, 0], [4, 7], [1, 0], [1, 0], [4, 7]]
    assert edges(np.uint8([1, 3])).tolist() == [1, 3, 1, 1, 3]
    assert edges(np.array([True, False])).tolist() == [False, True, False, False, True]


def test_a_mask_of_floats_stays_a_mask_and_is_never_all_zeros() -> None:
    mask = np.float32([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    assert edges(mask).tolist() == [[1, 0, 0], [1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 1, 1]]


def test_far_rows_are_real_ones_times_a_factor_and_ids_stay_themselves() -> None:
    rows = np.float32([[2], [3], [4], [5], [6]])
    assert far(rows)[:, 0].tolist() == [f * v for f in (10, 1e3, 1e5) for v in (2, 3, 4, 6)]
    assert far(np.array([2, 3, 4, 5, 6])).tolist() == [2, 3, 4, 6] * 3


def test_edges_pass_over_what_is_missing() -> None:
    rows = np.float32([[1, np.nan, np.nan], [3, 5, np.nan]])
    assert edges(rows)[:2].tolist() == [[1, 5, 0], [3, 5, 0]] and np.isfinite(edges(rows)).all()


def test_a_row_without_values_is_asked_of_an_input_that_may_lack_them() -> None:
    schema = {"x": {"missing": "keep"}, "y": {}}
    rows = {"x": np.float32([[1, 2], [3, 4]]), "y": np.array([5, 6])}
    assert may_be_missing(schema) and not may_be_missing({"y": {}})
    found = with_missing(rows, schema)
    assert np.isnan(found["x"][2]).all() and found["x"].shape == (3, 2)
    assert found["y"].tolist() == [5, 6, 5]
