"""The files beside the formats: each holds what the export writes, and nothing else.

What MLflow reads decides whose code it runs, so it is compared with what is written here.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.complete_model import mlmodel
from pipeline.examine import programs
from pipeline.examine.described import TRAINING, demand, demand_schema, tokenizers
from pipeline.formats import declared, names
from pipeline.provenance import lineage
from pipeline.runtimes.contract import FOLDER
from pipeline.untrusted import arrays, documents, limits

VERSION = re.compile(
    r"( {0,40}+(?:\w{1,40}_version: |python: |- [\w.\-]{1,100}==?))'?\d[\w.+]{0,40}'?"
)
"""A line that names a version; other versions than those here make no other loader."""
REQUIREMENT = re.compile(r"([\w.\-]{1,100})==\d[\w.+!\-]{0,40}")

ROOM = 10_000
"""Bytes by which what MLflow reads may be longer than what is written here, by its versions."""

FILES = (
    *("README.md", "formats.json", "metrics.json", "schema.json", "requirements.txt", "examples"),
    *(*mlmodel.FILES, lineage.FOLDER, provenance.NAME, provenance.PATCH),
)


def formats(directory: Path) -> tuple[list[str], list[str]]:
    """Returns those held and those of them that can be trained on; after `descriptions`."""
    listed = _json(directory / "formats.json")
    return listed["held"], listed.get("trains", [])


def refused(directory: Path) -> list[str]:
    """Returns the formats that were tried, and did not hold the model."""
    return list(_json(directory / "formats.json")["refused"])


def carried(directory: Path) -> list[str]:
    """Returns the runtimes whose programs it carries."""
    return programs.held(_json(directory / "formats.json"))


def is_first(directory: Path) -> bool:
    """Returns whether it is laid out as complete models were at first: without lineage, nothing
    that trains on, and no list of formats that would."""
    listed = _json(directory / "formats.json")
    carries = (directory / lineage.FOLDER).exists() or (
        directory / "examples/training.npz"
    ).exists()
    return "trains" not in listed and not carries


def schema(directory: Path) -> dict[str, Any]:
    return _json(directory / "schema.json")


def metrics(directory: Path) -> dict[str, Any]:
    return _json(directory / "metrics.json")


def descriptions(directory: Path) -> str:
    """Judges schema.json, formats.json, metrics.json and the card. Raises ValueError."""
    for name, judge in {
        "formats.json": _demand_formats,
        "schema.json": demand_schema,
        "metrics.json": _demand_metrics,
    }.items():
        try:
            judge(_json(directory / name))
        except (LookupError, TypeError, AttributeError) as fault:
            raise ValueError(f"{directory / name}: lacks or mistakes {fault}") from None
        except ValueError as fault:
            raise ValueError(f"{directory / name}: {fault}") from None
    if formats(directory)[1] and not set(schema(directory)) >= TRAINING:
        raise ValueError(f"{directory / 'schema.json'}: does not say where training goes on")
    _demand_text(directory / "README.md")
    held, _ = formats(directory)
    own = {top for name in held for top in _own(name)}
    own |= set(tokenizers(schema(directory)))
    own |= {FOLDER} if carried(directory) else set()
    for path in directory.iterdir():
        if path.name not in {*FILES, *own}:
            raise ValueError(f"{path}: is of no format that it says it holds: {', '.join(held)}")
    return f"bounded, and of the right types; formats {', '.join(held)}"


def _own(name: str) -> set[str]:
    """Returns what lies at the top of a complete model for a format."""
    return set(declared(name).entries)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = documents.read_json(path, limits.TEXT, constants=False)
    except (ValueError, OSError) as fault:
        raise ValueError(f"{path}: {fault}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: found no mapping")
    return value


def _demand_formats(value: Mapping[str, Any]) -> None:
    keys = {"held", "trains", "refused", "runtimes"}
    demand({"held", "refused"} <= set(value) <= keys, f"{', '.join(sorted(keys))} alone")
    programs.demand_listed(value)
    known = names()
    held, trains, refused = value["held"], value.get("trains", []), value["refused"]
    demand(isinstance(held, list) and bool(held), "a list of formats held")
    demand(all(name in known for name in held), f"formats of {', '.join(known)}")
    demand(len(set(held)) == len(held), "each format once")
    demand(isinstance(trains, list) and all(n in held for n in trains), "trains among held")
    demand(isinstance(refused, dict), "a mapping of refused formats")
    texts = all(isinstance(each, str) and len(each) < 10_000 for each in refused.values())
    demand(texts and all(name in known for name in refused), "a line for each refused format")


def _demand_metrics(value: Mapping[str, Any]) -> None:
    numbers = all(isinstance(v, int | float | str) for v in value.values())
    demand(numbers and all(len(str(v)) < 100 for v in value.values()), "a number for each")
    demand(all(len(k) < 200 and k.isprintable() for k in value), "printable names")


def _demand_text(path: Path) -> None:
    text = _text(path)
    if not text.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError(f"{path}: holds control characters")


def served(directory: Path) -> str:
    """Judges MLmodel, its environment and example, and requirements.txt, but for versions; after
    `examples`. Raises ValueError."""
    held, _ = formats(directory)
    described = schema(directory)
    present = {name for name in mlmodel.FILES if (directory / name).exists()}
    older = present == set(mlmodel.WITHOUT_EXAMPLE)
    with tempfile.TemporaryDirectory() as scratch:
        if older:
            mlmodel.write_without_example(Path(scratch), described, held)
        else:
            example = arrays.read(directory / "examples/one.npz")
            mlmodel.write(Path(scratch), described, held, example)
        for name in mlmodel.WITHOUT_EXAMPLE if older else mlmodel.FILES:
            _demand_written(directory / name, (Path(scratch) / name).read_text())
    more = {"tokenizers"} if tokenizers(described) else set[str]()
    _demand_requirements(directory / "requirements.txt", held, more)
    word = "; it is from before complete models had an input example for MLflow" if older else ""
    loaders = "MLmodel names MLflow's own loaders, requirements.txt what the formats need, no code"
    return loaders + word


def _demand_written(path: Path, expected: str) -> None:
    text = _without_versions(_text(path, len(expected.encode()) + ROOM))
    wanted = _without_versions(expected)
    if text == wanted:
        return
    pairs = zip(_padded(text), _padded(wanted), strict=False)
    differing = [(at, a, b) for at, (a, b) in enumerate(pairs, 1) if a != b]
    at, other, line = (*differing, (0, "other line ends", "ours"))[0]
    raise ValueError(
        f"{path}: line {at}: found {other[:200]!r}, expected {line!r}; MLflow may run what it names"
    )


def _without_versions(text: str) -> str:
    """Returns the lines with a star for each version."""
    matches = ((line, VERSION.fullmatch(line)) for line in text.split("\n"))
    return "\n".join(f"{match[1]}*" if match else line for line, match in matches)


def _text(path: Path, most: int = limits.TEXT) -> str:
    try:
        return documents.read_text(path, most)
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from None


def _padded(text: str) -> list[str]:
    return [*text.splitlines(), "the end"]


def _demand_requirements(path: Path, held: list[str], more: set[str]) -> None:
    allowed = {name for each in held for name in declared(each).requires} | more
    for line in _text(path).splitlines():
        match = REQUIREMENT.fullmatch(line)
        if match is None or match[1] not in allowed:
            known = ", ".join(sorted(allowed))
            raise ValueError(f"{path}: found {line[:200]!r}, expected name==version of {known}")
