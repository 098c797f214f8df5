"""Which weights stay as they are: those that a pattern fits, or that lie in what one fits."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase


def fitting(
    patterns: Sequence[str],
    names: Iterable[str],
    separator: str,
    key: str = "train.freeze",
    what: str = "weight",
) -> set[str]:
    """Returns those of the names of weights that a pattern fits, by themselves or by a part that
    they lie in. Raises ValueError, one line, for a pattern that fits none."""
    known = {name: list(_within(name, separator)) for name in names}
    frozen: set[str] = set()
    for pattern in patterns:
        fit = {n for n, places in known.items() if any(fnmatchcase(p, pattern) for p in places)}
        if not fit:
            raise ValueError(
                f"{key}: found {pattern!r}, which fits no {what}{_nearest(pattern, known)}; "
                "* stands for any text"
            )
        frozen |= fit
    return frozen


def _within(name: str, separator: str) -> Iterator[str]:
    """Yields the name, and those of the parts that it lies in, the innermost first."""
    while name:
        yield name
        name = name.rpartition(separator)[0]


def _nearest(pattern: str, known: dict[str, list[str]]) -> str:
    places = list(dict.fromkeys(place for each in known.values() for place in reversed(each)))
    near = difflib.get_close_matches(pattern, places, n=1, cutoff=0.0)
    return f", expected {near[0]} or the like" if near else ""


def demand_some_left(patterns: Sequence[str], left: bool) -> None:
    """Raises ValueError, one line, where no weight is left to train."""
    if not left:
        raise ValueError(f"train.freeze: {list(patterns)} fit every weight; leave some to train")
