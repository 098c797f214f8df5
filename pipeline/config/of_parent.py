"""What a complete model was made with is the default where it is trained on; what the command line
names, or an experiment chooses, wins."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import command_params, earlier
from pipeline.config.composition import Values, composition, interpolated
from pipeline.config.option_files import CONFIG, options
from pipeline.config.yaml_text import dump_yaml, load_yaml

DATA, MODEL = "data", "model"
OPTION = "of_the_complete_model"
"""The option of `data` that stands for the complete model's own while the run is composed."""
BY_KEY = ("train", "checkpoint")
"""Sections whose keys are the complete model's, but for those that are set."""


def composed(
    conf: Path, overrides: Sequence[str], recorded: Mapping[str, Values]
) -> tuple[Values, bool]:
    """Returns what the command line composes to, and whether the data are the complete model's.

    `recorded` has the sections that it was made with, as far as they are known. Raises ParamsError.
    """
    elsewhere = [each for each in overrides if not name_of(each).startswith(f"{DATA}.")]
    elsewhere += [each for each in overrides if name_of(each) == f"{DATA}.name"]
    composition(conf, elsewhere)  # what is wrong with conf/ is told before it is copied
    default = composition(conf, []).values
    with tempfile.TemporaryDirectory() as scratch:
        own = _with_data(conf, Path(scratch) / conf.name, recorded.get(DATA))
        composed_now = composition(own, overrides)
    takes_data = composed_now.options.get(DATA) == OPTION
    values = dict(composed_now.values)
    if takes_data:
        values[DATA] = values[DATA] | {"name": recorded[DATA]["name"]}
    before = interpolated(default | {MODEL: recorded[MODEL]})
    result = interpolated(values | {MODEL: recorded[MODEL]}) | {MODEL: recorded[MODEL]}
    for section in BY_KEY:
        own_keys = _recorded(section, overrides, result, before, recorded.get(section, {}))
        result[section] = result[section] | own_keys
    return result, takes_data


def name_of(override: str) -> str:
    """Returns the key that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def _with_data(conf: Path, copy: Path, data: Values | None) -> Path:
    """Returns conf/, or a copy of it whose default data are these."""
    if data is None:
        return conf
    shutil.copytree(conf, copy)
    known: Any = earlier.params({DATA: data})[DATA]
    (copy / DATA / f"{OPTION}.yaml").write_text(dump_yaml({**known, "name": OPTION}))
    config = load_yaml((copy / CONFIG).read_text(), str(conf / CONFIG))
    config["defaults"] = [_chosen(each) for each in config["defaults"]]
    (copy / CONFIG).write_text(dump_yaml(config))
    return copy


def _chosen(default: Any) -> Any:
    """Returns an entry of the defaults list, with the complete model's data in place of others."""
    named = isinstance(default, Mapping) and DATA in default
    return {DATA: OPTION} if named else default


def _recorded(
    section: str, overrides: Sequence[str], result: Values, default: Values, recorded: Values
) -> Values:
    """Returns what was recorded of a section, without the keys that are set now: on the command
    line, or by an experiment, which sets values without naming them there."""
    named = [name_of(each) for each in overrides]
    if section in named:
        return {}
    changed = {k for k, v in result[section].items() if v != default[section].get(k)}
    of_section = {name.split(".")[1] for name in named if name.startswith(f"{section}.")}
    # A stranger's command is not run; the complete model trains on without it.
    left = changed | of_section | set(command_params.KEYS if section == "train" else ())
    return {key: value for key, value in recorded.items() if key not in left}


def sections(conf: Path, params: Values) -> Values:
    """Returns the sections of params that are a parent's and no option of conf/: its model, and
    data that no option has the name of."""
    if params.get("train", {}).get("parent") is None:
        return {}
    names = {name for group, name in options(conf) if group == DATA}
    own_data = str(params.get(DATA, {}).get("name")) not in names
    return {key: params[key] for key in (MODEL, *([DATA] if own_data else [])) if key in params}
