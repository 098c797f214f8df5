"""Text that somebody else wrote, made safe for a terminal and a page."""

from collections.abc import Mapping
from typing import Any


def escaped(text: str, kept: str = "") -> str:
    """For a terminal: what is not printable is shown by its number, but for the characters `kept`.

    Others could move the cursor, colour a line or turn a text around.
    """
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape", "replace").decode()
        for c in text
    )


def escaped_lines(text: str) -> str:
    """The same for more lines than one."""
    return escaped(text, "\n\t")


def escaped_values(value: Any) -> Any:
    """The same for every text in mappings and lists."""
    if isinstance(value, str):
        return escaped_lines(value)
    if isinstance(value, Mapping):
        return {escaped_lines(str(name)): escaped_values(each) for name, each in value.items()}
    return [escaped_values(each) for each in value] if isinstance(value, list | tuple) else value
