"""Text that somebody else wrote is made safe for a terminal."""

from collections.abc import Mapping
from typing import Any


def escaped(text: str, allowed: str = "") -> str:
    """Shows what is not printable by its number, but for the characters `allowed`.

    Others could move the cursor, colour a line or turn a text around.
    """
    return "".join(
        c if c.isprintable() or c in allowed else c.encode("unicode_escape", "replace").decode()
        for c in text
    )


def escaped_lines(text: str) -> str:
    """Escapes text of more lines than one."""
    return escaped(text, "\n\t")


def escaped_values(value: Any) -> Any:
    """Escapes all texts in mappings and lists."""
    if isinstance(value, str):
        return escaped_lines(value)
    if isinstance(value, Mapping):
        return {escaped_lines(str(name)): escaped_values(each) for name, each in value.items()}
    return [escaped_values(each) for each in value] if isinstance(value, list | tuple) else value
