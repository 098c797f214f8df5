"""What somebody else wrote can be shown in a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import escaped, escaped_lines, escaped_values


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert escaped(text).isprintable()
    assert all(c.isprintable() or c in "\n\t" for c in escaped_lines(text))


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_what_is_printable_is_shown_as_it_is(text: str) -> None:
    assert escaped(text) == text
    assert escaped_values({text: [text, 1, None]}) == {text: [text, 1, None]}
