"""conf/ and params.yaml merge in three ways: what the user set stays, all else follows conf/.

The common ancestor is what the last merge left, which conf.lock.yaml remembers: the options that
were chosen in place of those in conf/config.yaml, what conf/ composed to (interpolations as
written), and which values of params.yaml were the user's own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config import choices, of_parent
from pipeline.config.composition import Values, compose_conf, interpolated
from pipeline.config.interpolation import demand_no_resolvers
from pipeline.config.option_files import choosing
from pipeline.config.reading import Leaves, flatten
from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import ParamsError
from pipeline.files import write_atomically

ABSENT = object()
HEADER = (
    "# Written by `compose`: what conf/ composed to, and which values of params.yaml are yours.\n"
)


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock remembers a merge; `removed` are paths of conf/ that the user took out."""

    options: list[str]
    """Overrides that choose an option of a group: model=torch_cnn, experiment=smoke."""
    own: Leaves
    removed: list[str]
    parent_code: str | None = None
    """sha256 of the code that trains the parent on, a param of the stages that it can change."""
    command_code: str | None = None
    """That of the files that train.command runs."""
    conf: Values


def read_lock(path: Path) -> Lock | None:
    """Returns what the last merge left; None where there was none."""
    if not path.is_file():
        return None
    try:
        content = dict(load_yaml(path.read_text(), str(path)))
        if "choices" in content:  # as it was written before options were remembered by their file
            default, names = content.pop("choices"), choices.names(content["conf"])
            content["options"] = [f"{g}={n}" for g, n in names.items() if default.get(g, n) != n]
        return Lock(**content)
    except (TypeError, ValueError, LookupError, AttributeError):
        raise ParamsError(f"{path}: not as it was written; run `git checkout {path}`") from None


def write_lock(path: Path, lock: Lock) -> None:
    write_atomically(path, HEADER + dump_yaml(vars(lock)))


def composed(conf: Path, overrides: Sequence[str]) -> tuple[Values, Lock]:
    """Returns what the command line composes to, and what the next merge needs to know of it."""
    lock = lock_of(conf, choosing(conf, overrides))
    return interpolated(compose_conf(conf, overrides)), lock


def lock_of(conf: Path, options: Sequence[str], parent: Values | None = None) -> Lock:
    """Returns what the next merge needs to know of these options, and of a parent's sections."""
    base = compose_conf(conf, options) | (parent or {})
    return Lock(options=choices.necessary(conf, options), own={}, removed=[], conf=base)


def with_own(lock: Lock, values: Values) -> Lock:
    """Returns the lock of params that are known to be made of its options: what else stands there
    is the user's own, and the next merge does not look for options that it could come from."""
    plain = interpolated(lock.conf)
    return _changed(lock, values, plain, lock.conf, {*plain, *values}, anew=set())


def merge(conf: Path, current: Values | None, last: Lock | None) -> tuple[Values, Lock]:
    """Returns the new params and what to remember. Raises ParamsError for what does not compose."""
    last = last or Lock(options=[], own={}, removed=[], conf=compose_conf(conf, []))
    before = interpolated(last.conf, last.own, last.removed)
    current = before if current is None else current
    demand_no_resolvers(current, "params.yaml: ")
    _demand_no_new_dots(before, current)
    parent, parent_before = (of_parent.sections(conf, each) for each in (current, before))
    options, anew = choices.choose(conf, current, before, last.options, parent)
    base = compose_conf(conf, options) | parent
    sections = {*before, *current} - set(parent)
    changed = _changed(last, current, before, base, sections, sections if anew else parent_before)
    lock = Lock(options=options, own=changed.own, removed=changed.removed, conf=base)
    return interpolated(base, lock.own, lock.removed), lock


def _changed(
    last: Lock,
    current: Values,
    before: Values,
    base: Values,
    sections: Collection[str],
    anew: Collection[str],
) -> Lock:
    """Returns the last lock with what the user set and took out by now, in these sections, of which
    some were composed `anew`."""
    own: Leaves = {}
    removed: list[str] = []
    for section in (each for each in {**before, **current} if each in sections):
        more, less = _changes(section, current, before, base, last, section in anew)
        own |= more
        removed += less
    gone = sorted(set(removed) & set(flatten(base)))
    return replace(last, own=_necessary(own, base), removed=gone)


def _demand_no_new_dots(before: Values, current: Values) -> None:
    """Raises ParamsError for a name with a dot that the user set: dots part the names of a path."""
    was = _dotted(before)
    for path, value in _dotted(current).items():
        if was.get(path, ABSENT) != value:
            names = " > ".join(path)
            raise ParamsError(f"params.yaml: {names}: found a dot in a name; set it in conf/")


def _dotted(values: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Returns what stands under each name that has a dot, by the names on its path."""
    if path and "." in path[-1]:
        return {path: values}
    leaves: dict[tuple[str, ...], Any] = {}
    for key, value in values.items() if isinstance(values, Mapping) else ():
        leaves |= _dotted(value, (*path, str(key)))
    return leaves


def _changes(
    section: str, current: Values, before: Values, base: Values, last: Lock, anew: bool
) -> tuple[Leaves, list[str]]:
    """Returns what the user set and what the user took out in one section.

    Where the section's `name` was changed and nothing else, the whole section follows the option
    of that name. Where more was changed with it, it was composed anew (`dvc exp run -S model=…`),
    as all sections were if `anew`.
    """
    now, was = _leaves(current, section), _leaves(before, section)
    known = {path for path in last.own if path.split(".")[0] == section}
    removed = [path for path in last.removed if path.split(".")[0] == section]
    name = f"{section}.name"
    if now.get(name) != was.get(name):
        if {**now, name: None} == {**was, name: None}:
            return {}, []
        anew = True
    if anew:
        was, known, removed = _leaves(interpolated(base), section), set(), []
    own = {k: v for k, v in now.items() if k in known or was.get(k, ABSENT) != v}
    return own, [path for path in [*was, *removed] if path not in now]


def _leaves(values: Values, section: str) -> Leaves:
    leaves = flatten(values.get(section, {}))
    return {f"{section}.{path}" if path else section: value for path, value in leaves.items()}


def _necessary(own: Leaves, base: Values) -> Leaves:
    """Leaves out what conf/ says too, and what follows from the rest by interpolation."""
    written = flatten(base)
    interpolations = {path for path in own if "${" in str(written.get(path))}
    plain = {
        k: v for k, v in own.items() if k not in interpolations and written.get(k, ABSENT) != v
    }
    implied = flatten(interpolated(base, plain))
    return plain | {k: own[k] for k in own if k in interpolations and implied[k] != own[k]}
