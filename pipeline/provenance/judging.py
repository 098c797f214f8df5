"""What a statement must be before anything goes by it: it may come from anybody."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.untrusted import limits


def demand_plain(statement: Mapping[str, Any]) -> None:
    """Raises ValueError unless names and digests are texts, each name stands once and leads out of
    no directory, and the parameters are plain values; LookupError, TypeError or AttributeError for
    what is laid out otherwise."""
    definition = statement["predicate"]["buildDefinition"]
    subject, deps = statement["subject"], definition["resolvedDependencies"]
    if len(deps) > limits.DEPS:
        raise ValueError(f"no statement: it names more than {limits.DEPS} deps")
    for texts in (*map(_subject, subject), *map(_dep, deps), _environment(definition)):
        if not all(isinstance(each, str) and "\0" not in each for each in texts):
            raise ValueError("no statement: a name, version or digest in it is no text")
    for named in (subject, deps):
        _demand_names([each["name"] for each in named])
    _demand_params(definition["externalParameters"])


def _subject(entry: Mapping[str, Any]) -> list[Any]:
    return [entry["name"], entry["digest"]["sha256"]]


def _dep(entry: Mapping[str, Any]) -> list[Any]:
    """Returns all values of a dep's entry, which have to be texts. A dep outside of git has no
    commit."""
    digests = [each for each in entry["digest"].values() if each is not None]
    notes = dict(entry.get("annotations", {}))
    listed = notes.pop("files", {})
    _demand_origin(notes.pop("trainedElsewhere", None))
    return [entry["name"], *digests, *listed, *listed.values(), *notes.values()]


def _demand_origin(origin: Any) -> None:
    """Demands of what is said of a checkpoint that was made elsewhere that it is known values by
    name, and names of what is not known."""
    if origin is None:
        return
    if not all(isinstance(each, str) for each in (*origin["known"], *origin["unknown"])):
        raise ValueError("no statement: what it says of a checkpoint is laid out otherwise")


def _environment(definition: Mapping[str, Any]) -> list[Any]:
    environment = definition["internalParameters"]
    packages, variables = environment["packages"], environment.get("variables", {})
    named = [*packages, *packages.values(), *variables, *variables.values()]
    return [environment["python"], environment["platform"], *named]


def _demand_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("no statement: a name in it leads out of its directory")
        if path.as_posix() in seen:
            raise ValueError(f"no statement: it names {name[:200]!r} twice")
        seen.add(path.as_posix())


def _demand_params(recorded: Mapping[str, Any]) -> None:
    """Demands of the parameters that they are what the stage ran with: nothing in them is left to
    be followed, into the environment of whoever trains on."""
    sections = recorded["params"]
    if not all(isinstance(each, Mapping) for each in (sections, *sections.values())):
        raise ValueError("no statement: its parameters are no mapping")
    if not isinstance(recorded["stage"], str):
        raise ValueError("no statement: its stage is no text")
    for key, value in _texts(sections, ""):
        if "${" in value:
            raise ValueError(
                f"{key[:200]}: found an interpolation in a recorded parameter, expected a plain "
                "value; do not use it"
            )


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yields each text with its dotted key; names of keys as well."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            place = f"{key}.{name}" if key else str(name)
            yield place, str(name)
            yield from _texts(each, place)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, f"{key}[{index}]")
    elif isinstance(value, str):
        yield key, value
