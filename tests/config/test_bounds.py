"""A range says which numbers belong to it."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.bounds import Range


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_bounds_that_belong_and_bounds_that_do_not(value, limit):
    assert (Range(least=limit).fault(value) is None) == (value >= limit)
    assert (Range(above=limit).fault(value) is None) == (value > limit)
    assert (Range(most=limit).fault(value) is None) == (value <= limit)
    assert (Range(below=limit).fault(value) is None) == (value < limit)
