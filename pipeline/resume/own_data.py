"""What a complete model was made with, as its lineage says, and whether its data are here."""

from fnmatch import fnmatchcase
from pathlib import Path

from pipeline import provenance
from pipeline.config import earlier
from pipeline.config.composition import Values, interpolated
from pipeline.config.data_params import Data, Files
from pipeline.config.reading import convert
from pipeline.config.targets import DATA
from pipeline.config.yaml_text import load_yaml
from pipeline.data.folders import is_note
from pipeline.data.many_files import located
from pipeline.data.raw import open_raw
from pipeline.errors import DataError, IncompleteArtifact, ParamsError, PipelineError
from pipeline.project import CHECKPOINT, CONF, PREPARE
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node

FOLDER = Path(DATA)
SECTIONS = {PREPARE: "data", CHECKPOINT: "checkpoint"}
"""Stages upstream, with the section that each has and the export has not."""


def recorded(complete_model: Path) -> dict[str, Values]:
    """Returns the sections of params that it was made with, as far as its lineage says them."""
    sections = dict(provenance.params(complete_model))
    for stage, section in SECTIONS.items():
        if node := upstream(complete_model, stage):
            sections[section] = dict(node.params[section])
    return sections


def upstream(complete_model: Path, stage: str) -> Node | None:
    """Returns the statement of a stage that it was made by; None where it carries none."""
    path = complete_model / lineage.FOLDER / f"{stage}.json"
    try:
        return lineage.node(path) if path.is_file() else None
    except ValueError as fault:
        raise IncompleteArtifact(f"{path}: {fault}; name the data with data=…") from None


def demand_here(section: Values) -> Data:
    """Raises ParamsError or DataError where the data that it describes cannot be read here."""
    config: Data = convert(earlier.params({"data": section})["data"], Data, "data")
    if config.made_up:
        raise ParamsError(
            f"data.made_up: found true, expected data to learn from; {_way_out(config)}"
        )
    if config.rows is not None:
        _demand_own_rows(config, section)
    try:
        open_raw(FOLDER, config)
    except PipelineError as fault:
        raise DataError(f"{fault}; {_way_out(config)}") from None
    return config


def _way_out(config: Data) -> str:
    return f"the complete model was trained with data {config.name}; name others with data=…"


def _demand_own_rows(config: Data, section: Values) -> None:
    """Raises ParamsError for a call of a function that no option of conf/data/ makes: the complete
    model may be a stranger's, and so may be what it hands to the function."""
    options = (load_yaml(path.read_text(), str(path)) for path in (CONF / DATA).glob("*.yaml"))
    calls = (each.get("rows") for each in options if isinstance(each, dict))
    if not any(_composes_to(call, section) for call in calls if call):
        raise ParamsError(
            f"data.rows: found {dict(config.rows or {})}, which no option in {CONF / DATA}/ has; "
            f"{_way_out(config)}"
        )


def _composes_to(call: Values, section: Values) -> bool:
    """Returns whether an option's call is that of the section, with what it takes from the
    section."""
    try:
        composed: Values = interpolated({DATA: {**section, "rows": call}})[DATA]
    except ParamsError:
        return False
    return bool(composed["rows"] == section["rows"])


def described(config: Data, node: Node) -> str:
    """Returns how the data here are to those that the complete model was trained with."""
    then, now = node.files(DATA), _digests(config)
    if not then:
        return "as it was trained with"
    other = [name for name, digest in now.items() if then.get(name) != digest]
    other += [name for name in then if name not in now and _is_named(name, config)]
    if not other:
        return "as it was trained with, byte for byte"
    more = f" and {len(other) - 1} more" if len(other) > 1 else ""
    return f"as it was trained with, but with other bytes in {FOLDER / other[0]}{more}"


def _patterns(config: Data) -> list[str]:
    if config.rows is not None:
        return [f"{str(config.rows['_target_']).split('.')[1]}.py"]
    named = config.file
    return list(named.named().values()) if isinstance(named, Files) else [str(named)]


def _digests(config: Data) -> dict[str, str]:
    """Returns the files that the configuration names, relative to data/, with their digests."""
    paths = (path for pattern in _patterns(config) for path in located(FOLDER, pattern))
    return {path.relative_to(FOLDER).as_posix(): provenance.digest(path) for path in paths}


def _is_named(name: str, config: Data) -> bool:
    """Returns whether a file below data/ is one that the configuration would name, if it were
    there."""
    if config.rows is not None or is_note(Path(name)):
        return False
    return any(name.startswith(f"{each}/") or fnmatchcase(name, each) for each in _patterns(config))
