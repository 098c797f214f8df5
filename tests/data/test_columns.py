"""A source names columns, one by one or as a range."""

from typing import Any

import pytest

from pipeline.data.columns import names


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a", ("a",)),
        ("p_{8..11}", ("p_8", "p_9", "p_10", "p_11")),
        ("p_{08..10}x", ("p_08x", "p_09x", "p_10x")),
        (("a", "b{1..2}"), ("a", "b1", "b2")),
        ("p{2..1}", ()),
    ],
)
def test_a_range_is_written_out(source: Any, expected: tuple[str, ...]) -> None:
    assert names(source) == expected
