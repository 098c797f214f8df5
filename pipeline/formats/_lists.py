"""Lists of what is let in, a name a line, in files beside the code that reads them.

`python -m scripts.known_names` compares them with what the installed libraries know.
"""

from pathlib import Path


def listed(path: Path) -> frozenset[str]:
    """Returns the lines of a list; what follows a # is a remark."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return frozenset(filter(None, lines))


def by_first_word(path: Path) -> dict[str, frozenset[str]]:
    """Returns what follows each first word of a list's lines."""
    groups: dict[str, set[str]] = {}
    for line in listed(path):
        first, _, rest = line.partition(" ")
        groups.setdefault(first, set()).add(rest.strip())
    return {first: frozenset(rest) for first, rest in groups.items()}
