"""Pieces of a page for people: tables, numbers and sizes as HTML."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

Rows = dict[tuple[str, str], Callable[[str], str]]
"""What a row is, and in small what it means -> a column's cell."""


def matrix(names: Iterable[str], rows: Rows) -> str:
    """A column for each name."""
    heading = "".join(f'<th scope="col">{escape(each)}</th>' for each in names)
    body = "\n".join(
        f'<tr><th scope="row">{escape(text)}<small>{escape(about)}</small></th>'
        f"{''.join(f'<td>{give(name)}</td>' for name in names)}</tr>"
        for (text, about), give in rows.items()
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr><td></td>{heading}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def fact(name: str, value: object) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"


def signature(arrays: Mapping[str, Any]) -> str:
    each = (
        f"{n} {a['dtype']}[rows{''.join(f', {d}' for d in a['shape'])}]" for n, a in arrays.items()
    )
    return ", ".join(f"<code>{escape(text)}</code>" for text in each)


def number(value: object) -> str:
    return (
        f"{value:.4g}" if isinstance(value, int | float) else "–" if value is None else str(value)
    )


def size(count: float) -> str:
    """Bytes by powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"
