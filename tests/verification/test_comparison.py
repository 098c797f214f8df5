import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.params import Tolerance
from pipeline.verification.comparison import EXACT, Difference, compare, same_bits


def against(given_: np.ndarray, expected: np.ndarray, tolerance: Tolerance = EXACT) -> Difference:
    return compare({"one": {"y": given_}}, {"one": {"y": expected}}, tolerance)


def test_the_largest_differences_are_told_with_their_place() -> None:
    found = against(np.array([[1.0, 2.5], [3.0, 0.0]]), np.array([[1.0, 2.0], [2.8, 0.0]]))
    assert (found.max_abs, found.max_rel, found.at) == (0.5, 0.25, "one/y[0, 1]")
    assert found.values == 4


def test_a_difference_from_zero_counts_in_full_but_not_relatively() -> None:
    found = against(np.array([0.5]), np.array([0.0]))
    assert (found.max_abs, found.max_rel) == (0.5, 0.0)


def test_the_bound_itself_is_allowed() -> None:
    tolerance = Tolerance(atol=0.25, rtol=0.5)
    assert against(np.array([3.25]), np.array([2.0]), tolerance).faults == []
    assert against(np.array([3.5]), np.array([2.0]), tolerance).faults != []


def test_infinities_of_one_sign_are_equal() -> None:
    infinite = np.array([np.inf, -np.inf])
    assert against(infinite, infinite).faults == []
    (found,) = against(-infinite, infinite).faults
    assert found == "one/y[0]: found -inf, expected inf (2 of 2 values at fault)"


def test_what_is_not_finite_is_named_before_what_is_only_off() -> None:
    (found,) = against(np.array([9.0, np.nan]), np.array([1.0, 1.0])).faults
    assert found == "one/y[1]: found nan, expected 1 (2 of 2 values at fault)"


def test_booleans_text_and_complex_numbers_compare_too() -> None:
    assert against(np.array([True, False]), np.array([True, True])).faults
    assert against(np.array(["a"]), np.array(["b"])).faults
    assert against(np.array([1 + 1j]), np.array([1 + 1j])).faults == []
    assert against(np.array([1 + 1j]), np.array([1 - 1j])).max_abs == 2.0


def test_a_batch_without_rows_is_equal_to_its_like() -> None:
    assert against(np.empty((0, 3)), np.empty((0, 3))) == Difference()


def test_a_zero_s_sign_is_a_bit_but_no_difference() -> None:
    minus, plus = {"one": {"y": np.array([-0.0])}}, {"one": {"y": np.array([0.0])}}
    assert compare(minus, plus, EXACT).faults == []
    assert list(same_bits(minus, plus)) == ["one/y: differs by up to 0"]


@given(
    st.lists(st.floats(width=32), min_size=1, max_size=8),
    st.lists(st.floats(width=32), min_size=8, max_size=8),
    st.floats(0, 1e3),
    st.floats(0, 10),
)
def test_it_agrees_with_numpy_s_own_comparison(
    left: list[float], right: list[float], atol: float, rtol: float
) -> None:
    candidate = np.array(left, np.float32)
    baseline = np.array(right[: len(left)], np.float32)
    found = against(candidate, baseline, Tolerance(atol=atol, rtol=rtol))
    with np.errstate(invalid="ignore", over="ignore"):
        wide = candidate.astype(np.float64), baseline.astype(np.float64)
        assert (found.faults == []) == np.allclose(*wide, atol=atol, rtol=rtol, equal_nan=True)
