"""Pages for people: what they share, and the one function that renders a template.

It imports nothing of ours.
"""

import re
from pathlib import Path
from typing import Any


def render(template: Path, **values: Any) -> str:
    """Returns the page, in which each value is escaped; a value that it lacks is an error.

    A template may use those that lie here, `number` and `size` as filters, `digest` as a test.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "size": size}
    environment.tests["digest"] = is_digest
    return environment.get_template(template.name).render(values)


def is_digest(value: object) -> bool:
    """Returns whether it is a commit, a sha256 or the like, which no line is to break."""
    return re.fullmatch(r"[0-9a-f]{32,64}", str(value)) is not None


def number(value: object) -> str:
    """Returns four digits of a float, and all of a whole number."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def size(count: float) -> str:
    """Returns bytes by powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"
