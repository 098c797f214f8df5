"""A group is a folder of conf/, an option a file in it: an option is known by its file alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.yaml_text import load_yaml
from pipeline.errors import ParamsError

CONFIG = "config.yaml"


def group_of(override: str) -> str:
    """Returns what an override sets, without its package: `+train@x=quick` is of `train`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def choosing(conf: Path, overrides: Sequence[str]) -> list[str]:
    """Returns the overrides that choose an option, and leaves out those that set a value."""
    return [each for each in overrides if (conf / group_of(each)).is_dir()]


def quoted(conf: Path, overrides: Sequence[str]) -> list[str]:
    """Quotes an option's name that Hydra would read as something else than a text: nan, 1, null."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, result = OverridesParser.create(), list(overrides)
    for index, override in enumerate(overrides):
        key, _, name = override.partition("=")
        if not name or not (conf / group_of(override)).is_dir():
            continue
        try:
            value = parser.parse_override(override).value()
        except HydraException:  # compose says what is wrong with it
            continue
        if value is None or isinstance(value, bool | int | float):
            result[index] = f'{key}="{name.strip()}"'
    return result


def options(conf: Path) -> list[tuple[str, str]]:
    """Returns each group with each of its options."""
    files = (path.relative_to(conf) for path in sorted(conf.rglob("*.yaml")))
    return [(path.parent.as_posix(), path.stem) for path in files if path.parent != Path()]


def used(conf: Path, chosen: Mapping[str, Any]) -> list[Path]:
    """Returns the files that a composition was made of."""
    files = [conf / CONFIG]
    for group, names in chosen.items():
        listed = names if isinstance(names, list | tuple) else [names]
        files += [conf / group / f"{name}.yaml" for name in listed]
    return [path for path in files if path.is_file()]


def demand_own_names(conf: Path, values: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Raises ParamsError for a `name` that is not its file's, in any option of a group that has it.

    An option that was copied would be taken for the one it was copied from.
    """
    for group in (key for key, section in values.items() if _has_name(section)):
        option = chosen.get(group)
        files = (conf / group).glob("*.yaml")
        for path in sorted(files, key=lambda file: (file.stem != option, file)):
            name = _name(path)
            if name is not None and str(name) != path.stem:
                raise ParamsError(
                    f"{path}: name: found {name!r}, expected {path.stem!r}: an option's name is "
                    "its file's; correct it or rename the file"
                )
        name = values[group]["name"]
        if isinstance(name, str) and isinstance(option, str) and name != option:
            raise ParamsError(
                f"{group}.name: found {name!r}, expected {option!r}: an option's name is its "
                f"file's; write {conf / group / name}.yaml, and choose it by {group}={name}"
            )


def _has_name(section: Any) -> bool:
    return isinstance(section, Mapping) and "name" in section


def _name(path: Path) -> Any:
    """Returns the option's `name`; None where it has none, or belongs elsewhere."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.startswith("# @package") for line in lines):
        return None
    written = next((line for line in lines if line.startswith("name:")), None)
    return load_yaml(written, str(path))["name"] if written else None
