"""Patterns of names of tensors: * stands for any text, and one that fits a part of a model fits all
that lies in it."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.errors import ParamsError

SEPARATORS = re.compile(r"[./]")


def fitting(key: str, patterns: Sequence[str], names: Iterable[str]) -> set[str]:
    """Returns those of the names that a pattern fits. Raises ParamsError, one line, for a pattern
    that fits none; `key` is the parameter that has them."""
    known = list(names)
    fit: set[str] = set()
    for pattern in patterns:
        fitted = {name for name in known if _fit(_compiled(pattern), name)}
        if not fitted:
            raise ParamsError(f"{key}: found {pattern!r}, {_fits_none(pattern, known)}")
        fit |= fitted
    return fit


class Renaming:
    """What `model.rename` makes of names in a checkpoint; it knows which of its patterns fitted.

    Of several that fit the one with the most text counts, in whichever order they stand.
    """

    def __init__(self, rename: Mapping[str, str | None]) -> None:
        for pattern, target in rename.items():
            _demand_as_many_stars(pattern, target)
        texts = sorted(rename, key=lambda pattern: (-len(pattern.replace("*", "")), pattern))
        self._rules = [(text, _compiled(text), rename[text]) for text in texts]
        self._used: set[str] = set()

    def __call__(self, name: str) -> tuple[bool, str | None]:
        """Returns whether a pattern fits the name, and what it becomes; None is left out."""
        fits = [(each, target, _fit(pattern, name)) for each, pattern, target in self._rules]
        chosen = [(target, fit) for _, target, fit in fits if fit]
        self._used.update(text for text, _, fit in fits if fit)
        if not chosen:
            return False, name
        target, fit = chosen[0]
        return True, None if target is None else _filled(target, fit) + name[fit.end() :]

    def demand_used(self, names: Iterable[str]) -> None:
        """Raises ParamsError, one line, for a pattern that has fitted no name yet."""
        for text, _, _ in self._rules:
            if text not in self._used:
                raise ParamsError(f"model.rename: found {text!r}, {_fits_none(text, names)}")


def parts(name: str) -> list[str]:
    """Returns what a name is made of, outermost first."""
    return SEPARATORS.split(name)


def heads(name: str) -> Iterator[str]:
    """Yields what a name may begin with, each with its separator, the shortest first."""
    for separator in SEPARATORS.finditer(name):
        yield name[: separator.end()]


def _demand_as_many_stars(pattern: str, target: str | None) -> None:
    if target is not None and "*" in target and target.count("*") != pattern.count("*"):
        raise ParamsError(
            f"model.rename: found {pattern!r}: {target!r}, expected as many * in both: each stands "
            "for the text that it stood for"
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    """Returns the pattern. Each star stands for as little text as it can. What was found for one is
    not looked for again, so that no name, however long, takes more than one pass."""
    texts = [re.escape(text) for text in pattern.split("*")]
    if len(texts) == 1:
        return re.compile(texts[0])
    first, *between, last = texts
    stars = "".join(f"(?>(.*?){text})" for text in between)
    return re.compile(f"{first}{stars}(.*){last}", re.DOTALL)


def _fit(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """Returns how it fits the name or, from within, a part that the name lies in."""
    if fit := pattern.fullmatch(name):
        return fit
    places = [name[: separator.start()] for separator in SEPARATORS.finditer(name)]
    return next(filter(None, map(pattern.fullmatch, reversed(places))), None)


def _filled(target: str, fit: re.Match[str]) -> str:
    texts = iter(fit.groups())
    return re.sub(r"\*", lambda _: next(texts), target)


def _fits_none(pattern: str, names: Iterable[str]) -> str:
    known = list(names)
    near = difflib.get_close_matches(pattern, known[:10_000], n=1, cutoff=0.0)
    nearest = f", expected {near[0]} or the like" if near else ""
    return f"which fits no tensor{nearest}; * stands for any text"
