"""Interpolations lead to another value of the configuration, and nowhere else.

A resolver reads what is not in it (`${oc.env:…}` the environment), and one can be put together from
parts or hidden in an argument: so what may stand behind a dollar is known by its form, not refused
by its name.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.errors import ParamsError
from pipeline.untrusted.limits import INTERPOLATED, INTERPOLATIONS, NESTED

NODE = re.compile(r"\$\{ *+(\.*+)([\w-]++(?:(?:\.|\[)[\w-]++\]?+)*+) *+\}")
"""`${train.lr}`, `${.lr}`, `${sizes[0]}`."""
OWN = re.compile(r"\$\{(?:oc\.(?:select|dict\.keys|dict\.values)|count):([^${}\\]*+)\}")
"""Resolvers that read the configuration alone."""
PARTS = re.compile(r"[^.\[\]]++")
NAME = re.compile(r"\$\{([\w. -]{0,40}+):")
Path = tuple[str | int, ...]


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yields each text with what leads to it."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from texts(each, (*path, name))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from texts(each, (*path, index))
    elif isinstance(value, str):
        yield path, value


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def demand_no_resolvers(values: Any, where: str, known: bool = False) -> None:
    """Raises ParamsError for an interpolation that leads out of the configuration, naming key and
    resolver; with `known` those of OWN may stand there. Nothing has been followed by then."""
    for path, text in texts(values):
        at = text.find("${")
        while at >= 0:
            if not (NODE.match(text, at) or (known and OWN.match(text, at))):
                name = NAME.match(text, at)
                shown = (
                    f"${{{name[1]}:…}}" if name else "an interpolation of another form than ${a.b}"
                )
                raise ParamsError(
                    f"{where}{dotted(path)}: found {shown}, expected a value that is the same "
                    "everywhere; what differs by machine or moment does not belong in params.yaml"
                )
            at = text.find("${", at + 2)


def demand_followed(values: Any) -> None:
    """Raises ParamsError for a text that would be an interpolation when it is read again."""
    for path, text in texts(values):
        if "${" in text:
            raise ParamsError(f"{dotted(path)}: found an escaped interpolation, expected a value")


class _Cost(NamedTuple):
    """What following everything in a value takes."""

    followed: int = 0
    length: int = 0
    height: int = 0

    def plus(self, other: "_Cost") -> "_Cost":
        height = max(self.height, other.height)
        return _Cost(self.followed + other.followed, self.length + other.length, height)


def demand_bounded(values: Mapping[str, Any]) -> None:
    """Raises ParamsError where interpolations lead in a circle, through too many others, or to more
    text than any configuration has: twice the one before, 25 times, is a minute and a half."""
    costs = _Costs(values)
    total = _Cost()
    for path, text in texts(values):
        if "${" in text:
            total = total.plus(costs.of(path, 0))
        if total.followed > INTERPOLATIONS or total.length > INTERPOLATED:
            raise ParamsError(
                f"{dotted(path)}: its interpolations come to more than {INTERPOLATIONS} or "
                f"{INTERPOLATED} characters; write the value itself"
            )


class _Costs:
    """Each value's cost is computed once."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.known: dict[Path, _Cost] = {}

    def of(self, path: Path, depth: int) -> _Cost:
        if path not in self.known:
            if depth > NESTED:
                raise ParamsError(
                    f"{dotted(path)}: its interpolations lead through more than {NESTED} others, "
                    "or in a circle; write the value itself"
                )
            cost = _Cost()
            for place, text in texts(self._value(path), path):
                cost = cost.plus(self._of_text(place, text, depth))
            self.known[path] = cost
        if depth + self.known[path].height > NESTED:
            raise ParamsError(f"{dotted(path)}: stands in more than {NESTED} interpolations")
        return self.known[path]

    def _of_text(self, path: Path, text: str, depth: int) -> _Cost:
        cost, height = _Cost(0, len(text)), 0
        for target in _targets(path, text):
            for part in self._through(target):
                other = self.of(part, depth + 1)
                cost, height = cost.plus(other), max(height, other.height + 1)
        own = text.count("${")
        return _Cost(cost.followed + own, cost.length, height)

    def _through(self, target: Path) -> Iterator[Path]:
        """Yields what is followed on the way to a target: the first text among its parents, or
        itself."""
        for length in range(1, len(target) + 1):
            if length == len(target) or isinstance(self._value(target[:length]), str):
                yield target[:length]
                return

    def _value(self, path: Path) -> Any:
        value: Any = self.values
        for name in path:
            if isinstance(value, Mapping):
                value = value.get(name, value.get(int(name)) if _is_number(name) else None)
            elif isinstance(value, list | tuple):
                value = value[int(name)] if _is_number(name) and int(name) < len(value) else None
            else:
                return None
        return value


def _is_number(name: str | int) -> bool:
    return isinstance(name, int) or (name.isascii() and name.isdigit() and len(name) < 10)


def _targets(path: Path, text: str) -> Iterator[Path]:
    """Yields where each interpolation of a text leads; a leading dot counts from the value beside
    it."""
    for match in NODE.finditer(text):
        base = path[: -len(match[1])] if match[1] else ()
        yield (*base, *PARTS.findall(match[2]))
    for match in OWN.finditer(text):
        yield tuple(PARTS.findall(match[1].partition(",")[0].strip()))
