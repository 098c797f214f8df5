"""Text that somebody else wrote is made safe for a terminal."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

WORD = re.compile(r"\w++")
SEPARATORS = "\u2024\u2044\u2215\u2216\u29f5\u29f8\uff0e\uff0f\uff3c"
"""What looks like a slash, a dot or a backslash, and is none."""


def escaped(text: str, allowed: str = "") -> str:
    """Shows what is not printable by its number, but for the characters `allowed`; and what is made
    to look like something else: letters of another script within a word of Latin ones.

    Others could move the cursor, colour a line or turn a text around.
    """
    if not text.isascii():
        text = WORD.sub(lambda word: _one_script(word[0]), text)
    return "".join(
        c if (c.isprintable() and c not in SEPARATORS) or c in allowed else _number(c) for c in text
    )


def _one_script(word: str) -> str:
    """Returns the word with what is strange in it escaped. A word with an ASCII letter in it is
    Latin: what else it has, and combines with, is escaped."""
    if not any(c.isascii() and c.isalpha() for c in word):
        return word
    return "".join(c if c.isascii() or _is_latin(c) else _number(c) for c in word)


def _is_latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith(
        ("LATIN ", "SUPERSCRIPT ", "SUBSCRIPT ", "MICRO ")
    )


def _number(character: str) -> str:
    return character.encode("unicode_escape", "replace").decode()


def escaped_error(error: BaseException) -> str:
    """Returns an error's line, and what was added to it as notes, such as a table, below it."""
    return "\n  ".join(map(escaped, [str(error), *getattr(error, "__notes__", ())]))


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
