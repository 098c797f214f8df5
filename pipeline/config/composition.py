"""conf/ composes as in any Hydra app; what belongs to one machine or moment is refused."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import interpolation, machine, option_files, yaml_words
from pipeline.config.reading import flatten, nearest
from pipeline.errors import ParamsError
from pipeline.project import CONF, untracked

Values = dict[str, Any]
"""Plain values by section, as in params.yaml."""


@dataclass(frozen=True)
class Composition:
    """A composition is values, interpolations as written, and the option chosen of each group."""

    values: Values
    options: dict[str, Any]
    """Group -> the stem of its file, a list of them, or None."""


REMEMBERED = 200
"""Compositions; a merge has some fifty."""
_COMPOSED: dict[str, Composition] = {}
"""By a digest of what each is made of."""


def compose_conf(conf: Path, overrides: Sequence[str]) -> Values:
    """Returns what Hydra composes, interpolations as written. Raises ParamsError in one line."""
    return composition(conf, overrides).values


def composition(conf: Path, overrides: Sequence[str]) -> Composition:
    """Returns what Hydra composes, and of which options. Raises ParamsError in one line.

    A merge asks for the same again and again; what the same files give is composed once in a
    process, and each caller's own.
    """
    key = _content(conf, overrides)
    if key is None:
        return _composed(conf, overrides)
    if key not in _COMPOSED:
        if len(_COMPOSED) == REMEMBERED:
            _COMPOSED.clear()
        _COMPOSED[key] = _composed(conf, overrides)
    return copy.deepcopy(_COMPOSED[key])


def _content(conf: Path, overrides: Sequence[str]) -> str | None:
    """Returns a digest of all that a composition is made of; None where more than conf/ is."""
    try:
        files = [(str(path.relative_to(conf)), path.read_bytes()) for path in conf.rglob("*.yaml")]
    except OSError:  # Hydra says what is wrong with a file that it needs
        return None
    content = repr((sorted(files), list(overrides))).encode()
    return None if b"searchpath" in content else hashlib.sha256(content).hexdigest()


def _composed(conf: Path, overrides: Sequence[str]) -> Composition:
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, flag_override
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            named = option_files.quoted(conf, overrides)
            config = compose("config", overrides=named, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as fault:
        raise ParamsError(_one_line(fault, conf, overrides)) from None
    except (YAMLError, UnicodeDecodeError) as fault:
        for path in sorted(conf.rglob("*.yaml")):
            yaml_words.demand_readable(path)
        raise ParamsError(f"{conf}: {' '.join(str(fault).split())}") from None
    options: dict[str, Any] = dict(config.hydra.runtime.choices)
    with flag_override(config, ["struct", "readonly"], False):
        del config["hydra"]
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    for path in option_files.used(conf, options):
        yaml_words.demand_plain(path)
    values = {str(section): content for section, content in raw.items()}
    option_files.demand_own_names(conf, values, options)
    for key, value in flatten(values).items():
        if "???" in str(value):
            raise ParamsError(f"{key}: mandatory value not given; add {key}=… or set it in conf/")
    interpolation.demand_no_resolvers(values, "", known=True)
    return Composition(values, options)


def _one_line(fault: Exception, conf: Path, overrides: Sequence[str]) -> str:
    """Returns Hydra's message, or, for an unknown key or option, what is allowed."""
    text = " ".join(str(fault).split())
    missing = getattr(fault, "missing_cfg_file", None)
    if missing:
        group, _, name = str(missing).rpartition("/")
        known = sorted(option.stem for option in (conf / group).glob("*.yaml"))
        hint = untracked(CONF / group / f"{name}.yaml") if conf.name == CONF.name else ""
        return f"{group}={name}: no such option; {nearest(name, known)}{hint}"
    if text.startswith("Could not override '"):
        key = text.split("'")[1]
        return f"{key}: no such key; {_keys_beside(key, conf)}"
    for path in sorted(conf.rglob("*.yaml")):
        yaml_words.demand_plain(path)
    return f"{' '.join(overrides) or conf}: {text}"


def _of_null(path: Sequence[str], below: Sequence[str]) -> str:
    """Returns how a value of which nothing is set is given, which has no keys to override."""
    whole, value = ".".join(path), "…"
    for name in reversed(below):
        value = f"{{{name}: {value}}}"
    return f"{whole} is null; set it as a whole: '{whole}={value}'"


def _keys_beside(key: str, conf: Path) -> str:
    values: Any = compose_conf(conf, [])
    *parents, name = key.split(".")
    for depth, parent in enumerate(parents, 1):
        if values == {}:  # it takes any name: of a format, say
            return f"add it with a plus sign: +{key}=…"
        if isinstance(values, Mapping) and parent in values and values[parent] is None:
            return _of_null(parents[:depth], [*parents[depth:], name])
        values = values.get(parent, {}) if isinstance(values, Mapping) else None
    if not values:
        return f"allowed: {', '.join(compose_conf(conf, []))}"
    if name in values:  # what lies in it has any name
        return f"add it with a plus sign: +{key}=…"
    return nearest(name, list(values))


def interpolated(
    base: Mapping[str, Any], own: Mapping[str, Any] | None = None, removed: Sequence[str] = ()
) -> Values:
    """Returns `base` with its interpolations followed, after the user's changes were made in it,
    and with a number as train.threads.

    `own` are values by dotted path, `removed` dotted paths. Raises ParamsError for what leads out
    of the configuration, in a circle, or to more than any configuration needs.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from pipeline.config.hydra_plugins import count

    count.register()
    values: Any = copy.deepcopy(dict(base))
    for path in removed:
        _remove(values, path.split("."))
    for path, value in (own or {}).items():
        _set(values, path.split("."), value)
    interpolation.demand_no_resolvers(values, "", known=True)
    interpolation.demand_bounded(values)
    try:
        plain = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except OmegaConfBaseException as fault:
        raise ParamsError(" ".join(str(fault).split())) from None
    assert isinstance(plain, dict)
    interpolation.demand_followed(plain)
    return machine.with_its_threads({str(section): each for section, each in plain.items()})


def _set(values: Values, path: list[str], value: Any) -> None:
    """Sets a value; a mapping on its path takes the place of anything else."""
    *parents, last = path
    for parent in parents:
        if not isinstance(values.get(parent), dict):
            values[parent] = {}
        values = values[parent]
    values[last] = value


def _remove(values: Values, path: list[str]) -> None:
    """Removes a value, and the mappings that become empty by it."""
    child = values.get(path[0])
    if len(path) > 1 and isinstance(child, dict):
        _remove(child, path[1:])
        if child:
            return
    values.pop(path[0], None)
