"""conf/ and params.yaml merge in three ways: what the user set stays, all else follows conf/.

The common ancestor is what the last merge left, which conf.lock.yaml remembers: the option of each
group that conf/ chose, what conf/ composed to (interpolations as written), and which values of
params.yaml were the user's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.composition import Values, compose_conf, interpolated
from pipeline.config.reading import Leaves, dump_yaml, flatten, load_yaml
from pipeline.errors import ParamsError
from pipeline.files import write_atomically

ABSENT = object()
HEADER = (
    "# Written by `compose`: what conf/ composed to, and which values of params.yaml are yours.\n"
)


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock remembers a merge; `removed` are paths of conf/ that the user took out."""

    choices: dict[str, str]
    own: Leaves
    removed: list[str]
    parent_code: str | None = None
    """sha256 of the code that trains the parent on, a param of the stages that it can change."""
    conf: Values


def read_lock(path: Path) -> Lock | None:
    """Returns what the last merge left; None where there was none."""
    if not path.is_file():
        return None
    try:
        return Lock(**load_yaml(path.read_text(), str(path)))
    except TypeError:
        raise ParamsError(f"{path}: not as it was written; run `git checkout {path}`") from None


def write_lock(path: Path, lock: Lock) -> None:
    write_atomically(path, HEADER + dump_yaml(vars(lock)))


def merge(conf: Path, current: Values | None, last: Lock | None) -> tuple[Values, Lock]:
    """Returns the new params and what to remember. Raises ParamsError for what does not compose."""
    default = compose_conf(conf, [])
    last = last or Lock(choices=_choices(default), own={}, removed=[], conf=default)
    before = interpolated(last.conf, last.own, last.removed)
    current = before if current is None else current
    has_parent = current.get("train", {}).get("parent") is not None
    overrides = _chosen(current, last, has_parent)
    base = compose_conf(conf, overrides) if overrides else default
    own: Leaves = {}
    removed: list[str] = []
    for section in {**before, **current}:
        if has_parent and section == "model":
            section_own, section_removed = _all_own(section, current, base)
        else:
            section_own, section_removed = _changes(section, current, before, base, last)
        own |= section_own
        removed += section_removed
    own = _necessary(own, base)
    removed = sorted(set(removed) & set(flatten(base)))
    lock = Lock(choices=_choices(default), own=own, removed=removed, conf=base)
    return interpolated(base, own, removed), lock


def _chosen(current: Values, last: Lock, has_parent: bool) -> list[str]:
    """Returns overrides for the groups of which the user chose another option than conf/."""
    return [
        f"{group}={name}"
        for group, name in _choices(current).items()
        if group in last.choices and name != last.choices[group]
        if not (has_parent and group == "model")
    ]


def _choices(values: Mapping[str, Any]) -> dict[str, str]:
    """Returns each group's option, for the groups whose options carry their `name`."""
    named = {g: v["name"] for g, v in values.items() if isinstance(v, Mapping) and "name" in v}
    return {group: str(name) for group, name in named.items()}


def _all_own(section: str, current: Values, base: Values) -> tuple[Leaves, list[str]]:
    """Takes the whole section as the user's: a parent's model stays, whatever conf/ says."""
    own = _leaves(current, section)
    return own, [path for path in _leaves(base, section) if path not in own]


def _changes(
    section: str, current: Values, before: Values, base: Values, last: Lock
) -> tuple[Leaves, list[str]]:
    """Returns what the user set and what the user took out in one section.

    Where the section's `name` was changed and nothing else, the whole section follows the option
    of that name. Where more was changed with it, it was composed anew (`dvc exp run -S model=…`).
    """
    now, was = _leaves(current, section), _leaves(before, section)
    known = {path for path in last.own if path.split(".")[0] == section}
    removed = [path for path in last.removed if path.split(".")[0] == section]
    name = f"{section}.name"
    if now.get(name) != was.get(name):
        if {**now, name: None} == {**was, name: None}:
            return {}, []
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
