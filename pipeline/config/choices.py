"""Which options params.yaml was composed of: by its names, and by values that only one composes to.

`python -m pipeline` says which it chose; of `dvc exp run -S` nothing is left but the values.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.composition import Values, composition, interpolated
from pipeline.config.option_files import group_of, options
from pipeline.config.reading import Leaves, flatten
from pipeline.errors import ParamsError

ABSENT = object()
ENOUGH = 2
"""Values changed at once by which an option is known: a single one may be the user's own. That an
option was taken away shows in one."""


def choose(
    conf: Path, current: Values, before: Values, last: Sequence[str], parent: Values
) -> tuple[list[str], bool]:
    """Returns the overrides that choose the options of `current`, and whether it was composed anew.

    An option is in force until another is named in params.yaml, or its values stand there. What
    is a `parent`'s, by section, is no option.
    """
    named = {group: name for group, name in names(current).items() if group not in parent}
    last = [each for each in last if group_of(each) not in parent]
    was = names(before)
    changed = {group: name for group, name in named.items() if was.get(group, name) != name}
    result = [each for each in last if group_of(each) not in changed]
    result += [f"{group}={name}" for group, name in changed.items()]
    inferred = _inferred(conf, current, before, result, parent)
    return necessary(conf, inferred), inferred != result


def names(values: Mapping[str, Any]) -> dict[str, str]:
    """Returns each group's option, for the groups whose options carry their `name`."""
    named = {g: v["name"] for g, v in values.items() if isinstance(v, Mapping) and "name" in v}
    return {group: str(name) for group, name in named.items()}


def necessary(conf: Path, chosen: Sequence[str]) -> list[str]:
    """Leaves out each override without which the same is composed."""
    result = list(chosen)
    whole = composition(conf, result) if result else None
    for each in chosen:
        others = [other for other in result if other != each]
        if composition(conf, others) == whole:
            result = others
    return result


def _inferred(
    conf: Path, current: Values, before: Values, chosen: list[str], parent: Values
) -> list[str]:
    """Adds and takes away options of groups without names, as long as one explains more values."""
    named = {*names(current), *parent}
    now, was = flatten(current), flatten(before)
    changed = {path for path in {**now, **was} if now.get(path, ABSENT) != was.get(path, ABSENT)}

    def composed(overrides: list[str]) -> Values:
        return composition(conf, overrides).values | parent

    while changed:
        base = composition(conf, chosen)
        unnamed = [each for each in options(conf) if each[0] not in named]
        fewer, more = _other_choices(chosen, base.options, unnamed)
        candidates = [(each, 1) for each in fewer]
        candidates += [(each, ENOUGH) for each in more if len(changed) >= ENOUGH]
        gains = _gains(composed, candidates, base.values | parent, now, changed)
        if max(gains, default=0) <= 0:
            break
        chosen = candidates[gains.index(max(gains))][0]
    return chosen


def _other_choices(
    chosen: list[str], options_now: Mapping[str, Any], unnamed: Sequence[tuple[str, str]]
) -> tuple[list[list[str]], list[list[str]]]:
    """Returns the choices that differ from `chosen` in one group without names: those that take one
    of its options away, and those with another in its place."""
    groups = {group for group, _ in unnamed}
    fewer = [[e for e in chosen if e != each] for each in chosen if group_of(each) in groups]
    more = [
        [e for e in chosen if group_of(e) != group]
        + [f"{'' if group in options_now else '+'}{group}={name}"]
        for group, name in unnamed
        if options_now.get(group) != name
    ]
    return fewer, more


def _gains(
    composed: Callable[[list[str]], Values],
    candidates: Sequence[tuple[list[str], int]],
    base: Values,
    now: Leaves,
    changed: set[str],
) -> list[int]:
    """Returns how many values more than `base` each candidate explains; 0 where that is uncertain.

    Most of what it sets, and as many values as stand beside it, must have been changed just now and
    stand as it says.
    """
    written = flatten(base)
    try:
        resolved = flatten(interpolated(base))
    except ParamsError:
        return []
    gains = []
    for overrides, enough in candidates:
        try:
            gains.append(_gain(composed(overrides), enough, written, resolved, now, changed))
        except ParamsError:
            gains.append(0)
    return gains


def _gain(
    values: Values, enough: int, base: Leaves, resolved_base: Leaves, now: Leaves, changed: set[str]
) -> int:
    written = flatten(values)
    paths = {**written, **base}
    effect = [p for p in paths if written.get(p, ABSENT) != base.get(p, ABSENT)]
    explained = [p for p in effect if p in changed]
    if len(explained) < enough or len(effect) >= 2 * len(explained):
        return 0
    resolved = flatten(interpolated(values))
    explained = [p for p in explained if now.get(p, ABSENT) == resolved.get(p, ABSENT)]
    lost = [p for p in effect if now.get(p, ABSENT) == resolved_base.get(p, ABSENT)]
    if len(explained) < enough or len(effect) >= 2 * len(explained):
        return 0
    return len(explained) - len(lost)
