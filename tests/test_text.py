"""What somebody else wrote can be shown in a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import escaped, escaped_error, escaped_lines, escaped_values


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert escaped(text).isprintable()
    assert all(c.isprintable() or c in "\n\t" for c in escaped_lines(text))


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_what_is_printable_is_shown_as_it_is(text: str) -> None:
    assert escaped(text) == text
    assert escaped_values({text: [text, 1, None]}) == {text: [text, 1, None]}


@pytest.mark.parametrize(
    "text",
    ["modèle größer.pt2", "модель/веса.bin", "模型：一", "naïve Øre", "├─ 12 µm …", "x² m₂", "τ"],
)
def test_other_scripts_are_shown_as_they_are(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("m\u043edel.pt2", r"m\u043edel.pt2"),  # a Cyrillic o
        ("\u0440aypal", r"\u0440aypal"),
        ("README\uff0emd", r"README\uff0emd"),
        ("a\u2215b\u2044c", r"a\u2215b\u2044c"),
        ("\uff4dodel", r"\uff4dodel"),
        ("\U0001d5c6odel", r"\U0001d5c6odel"),
        ("a\u200bb\u202eexe.gnp\u2066", r"a\u200bb\u202eexe.gnp\u2066"),
        ("lambd\u03b1", r"lambd\u03b1"),
    ],
)
def test_what_looks_like_something_else_is_shown_by_its_number(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_an_error_is_a_line_with_its_notes_below_it() -> None:
    error = ValueError("found\nx")
    assert escaped_error(error) == "found\\nx"
    error.add_note("name   shape")
    error.add_note("\x1b[2J    3")
    assert escaped_error(error) == "found\\nx\n  name   shape\n  \\x1b[2J    3"
