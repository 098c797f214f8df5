"""conf/ and params.yaml kept together by a three-way merge: what the user set stays, all else
follows conf/.

conf.lock.yaml remembers the last merge: which option of each group conf/ chose, what conf/ composed
to (interpolations as written), and which values of params.yaml were the user's own.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.params import Params
from pipeline.config.reading import Leaves, dump_yaml, flat, load_yaml, nearest, read
from pipeline.errors import ParamsError
from pipeline.files import write_atomically
from pipeline.run import stage

ABSENT = object()
HEADER = (
    "# Written by `compose`: what conf/ composed to, and which values of params.yaml are yours.\n"
)


@dataclass(frozen=True, kw_only=True)
class Lock:
    """`removed` are paths of conf/ that the user took out."""

    choices: dict[str, str]
    own: Leaves
    removed: list[str]
    conf: dict[str, Any]


def compose(conf: Path, params: Path, lock: Path) -> None:
    current = load_yaml(params.read_text(), str(params)) if params.is_file() else None
    merged, remembered = merge(conf, current, read_lock(lock))
    read(Params, merged)
    if merged != current:
        write_atomically(params, dump_yaml(merged))
    write_atomically(lock, HEADER + dump_yaml(vars(remembered)))


def read_lock(path: Path) -> Lock | None:
    """What the last merge left; None where there was none."""
    if not path.is_file():
        return None
    try:
        return Lock(**load_yaml(path.read_text(), str(path)))
    except TypeError:
        raise ParamsError(f"{path}: not as it was written; run `git checkout {path}`") from None


def merge(
    conf: Path, current: dict[str, Any] | None, last: Lock | None
) -> tuple[dict[str, Any], Lock]:
    """The new params and what to remember. Raises ParamsError for what cannot be composed."""
    default = composition(conf, [])
    last = last or Lock(choices=choices(default), own={}, removed=[], conf=default)
    before = resolved(last.conf, last.own, last.removed)
    current = before if current is None else current
    resumed = current.get("train", {}).get("parent") is not None
    picked = [
        f"{group}={name}"
        for group, name in choices(current).items()
        if group in last.choices and name != last.choices[group]
        if not (resumed and group == "model")
    ]
    base = composition(conf, picked) if picked else default
    own: Leaves = {}
    removed: list[str] = []
    for section in {**before, **current}:
        if resumed and section == "model":  # the complete model's, whatever conf/ says
            mine, gone = _whole(section, current, base)
        else:
            mine, gone = _changes(section, current, before, base, last)
        own |= mine
        removed += gone
    own = _least(own, base)
    removed = sorted(set(removed) & set(flat(base)))
    lock = Lock(choices=choices(default), own=own, removed=removed, conf=base)
    return resolved(base, own, removed), lock


def _changes(
    section: str, current: dict[str, Any], before: dict[str, Any], base: dict[str, Any], last: Lock
) -> tuple[Leaves, list[str]]:
    """What the user set and took out in one section.

    Where the section's `name` was changed and nothing else, the whole section follows the option
    of that name. Where more was changed with it, it was composed anew (`dvc exp run -S model=…`).
    """
    now, was = flat(current.get(section, {})), flat(before.get(section, {}))
    known: Leaves = {k: v for k, v in last.own.items() if k.split(".")[0] == section}
    gone = [path for path in last.removed if path.split(".")[0] == section]
    now, was = _under(section, now), _under(section, was)
    label = f"{section}.name"
    if now.get(label) != was.get(label):
        if {**now, label: None} == {**was, label: None}:
            return {}, []
        was, known, gone = _under(section, flat(resolved(base, {}, [])[section])), {}, []
    own = {k: v for k, v in now.items() if k in known or was.get(k, ABSENT) != v}
    return own, [path for path in [*was, *gone] if path not in now]


def _whole(section: str, current: dict[str, Any], base: dict[str, Any]) -> tuple[Leaves, list[str]]:
    mine = _under(section, flat(current[section]))
    return mine, [path for path in _under(section, flat(base[section])) if path not in mine]


def _under(section: str, leaves: Leaves) -> Leaves:
    return {f"{section}.{path}" if path else section: value for path, value in leaves.items()}


def _least(own: Leaves, base: dict[str, Any]) -> Leaves:
    """Without what conf/ says too, and without what follows from the rest by interpolation."""
    written = flat(base)
    follows = {path for path in own if "${" in str(written.get(path))}
    plain = {k: v for k, v in own.items() if k not in follows and written.get(k, ABSENT) != v}
    implied = flat(resolved(base, plain, []))
    return plain | {k: own[k] for k in own if k in follows and implied[k] != own[k]}


def composition(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """What Hydra composes, interpolations as written. Raises ParamsError in one line."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            config = hydra_compose("config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as fault:
        raise ParamsError(_one_line(fault, conf, overrides)) from None
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    for path, value in flat(raw).items():
        _demand_plain(path, value)
    return {str(section): values for section, values in raw.items()}


def _demand_plain(path: str, value: Any) -> None:
    text = str(value)
    if "???" in text:
        raise ParamsError(f"{path}: mandatory value not given; add {path}=… or set it in conf/")
    for resolver in ("${oc.env:", "${now:", "${hydra:"):
        if resolver in text:
            raise ParamsError(
                f"{path}: found {text}, expected a value that is the same everywhere; "
                "what differs by machine or moment does not belong in params.yaml"
            )


def _one_line(fault: Exception, conf: Path, overrides: Sequence[str]) -> str:
    """Hydra's message, or, for an unknown key or option, what is allowed."""
    text = " ".join(str(fault).split())
    missing = getattr(fault, "missing_cfg_file", None)
    if missing:
        group, _, name = str(missing).rpartition("/")
        known = sorted(option.stem for option in (conf / group).glob("*.yaml"))
        return f"{group}={name}: no such option; {nearest(name, known)}"
    if text.startswith("Could not override '"):
        key = text.split("'")[1]
        return f"{key}: no such key; {_siblings(key, conf)}"
    return f"{' '.join(overrides) or conf}: {text}"


def _siblings(key: str, conf: Path) -> str:
    values: Any = composition(conf, [])
    *parents, name = key.split(".")
    for parent in parents:
        values = values.get(parent, {}) if isinstance(values, Mapping) else {}
    return nearest(name, list(values)) if values else f"allowed: {', '.join(composition(conf, []))}"


def resolved(
    base: Mapping[str, Any], own: Mapping[str, Any], removed: Sequence[str]
) -> dict[str, Any]:
    """`base` with its interpolations followed, after the user's changes were made in it."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    values: Any = copy.deepcopy(dict(base))
    for path in removed:
        _take_out(values, path.split("."))
    for path, value in own.items():
        *parents, last = path.split(".")
        at = values
        for parent in parents:
            if not isinstance(at.get(parent), dict):
                at[parent] = {}
            at = at[parent]
        at[last] = value
    try:
        plain = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except OmegaConfBaseException as fault:
        raise ParamsError(" ".join(str(fault).split())) from None
    assert isinstance(plain, dict)
    return {str(section): values for section, values in plain.items()}


def _take_out(values: dict[str, Any], path: list[str]) -> None:
    """Also takes out the mappings that become empty by it."""
    child = values.get(path[0])
    if len(path) > 1 and isinstance(child, dict):
        _take_out(child, path[1:])
        if child:
            return
    values.pop(path[0], None)


def choices(values: Mapping[str, Any]) -> dict[str, str]:
    """Group -> option, for the groups whose options carry their `name`."""
    named = {g: v["name"] for g, v in values.items() if isinstance(v, Mapping) and "name" in v}
    return {group: str(name) for group, name in named.items()}


if __name__ == "__main__":
    stage.main(compose)
