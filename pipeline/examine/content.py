"""The files beside the formats: each holds what the export writes, and nothing else.

What MLflow reads decides whose code it runs, so it is compared with what is written here.
"""

import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.complete_model import mlmodel
from pipeline.examine import meanings
from pipeline.formats import declared, names
from pipeline.provenance import lineage
from pipeline.untrusted import arrays, documents, limits

VALUES = 1 << 28
"""Of one row of one input or output."""

DTYPES = (
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"),
    *("bool", "string"),
)
WORD = re.compile(r"[A-Za-z_][\w.\-]{0,99}")
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


def is_first(directory: Path) -> bool:
    """Whether it is laid out as complete models were at first: without lineage, nothing that trains
    on, and no list of formats that would."""
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
        "schema.json": _demand_schema,
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


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"expected {what}")


def _demand_formats(value: Mapping[str, Any]) -> None:
    keys = {"held", "trains", "refused"}
    demand(keys - {"trains"} <= set(value) <= keys, "held, trains and refused alone")
    known = names()
    held, trains, refused = value["held"], value.get("trains", []), value["refused"]
    demand(isinstance(held, list) and bool(held), "a list of formats held")
    demand(all(name in known for name in held), f"formats of {', '.join(known)}")
    demand(len(set(held)) == len(held), "each format once")
    demand(isinstance(trains, list) and all(n in held for n in trains), "trains among held")
    demand(isinstance(refused, dict), "a mapping of refused formats")
    texts = all(isinstance(each, str) and len(each) < 10_000 for each in refused.values())
    demand(texts and all(name in known for name in refused), "a line for each refused format")


SCHEMA: dict[str, Callable[[Any], bool]] = {
    "inputs": lambda v: _tensors(v, optional=meanings.OF_INPUT),
    "outputs": lambda v: _tensors(v),
    "target": lambda v: isinstance(v, dict) and len(json.dumps(v)) < 1000,
    "targets": lambda v: v == {} or _tensors(v, {"classes", "labels"}),
    "decisions": lambda v: isinstance(v, dict) and len(json.dumps(v)) < 100_000,
    "predictions": lambda v: isinstance(v, dict | None) and len(json.dumps(v)) < 1000,
    "rows": lambda v: isinstance(v, dict) and all(map(_count, v.values())),
    "sources": lambda v: isinstance(v, list) and all(map(_word, v)),
    "epoch": lambda v: _count(v),
    "epochs_before": lambda v: _count(v),
    "seed": lambda v: _count(v),
    "threshold": lambda v: isinstance(v, float) and math.isfinite(v),
}
EARLIER = {"target", "threshold"}
"""Keys of a schema from before targets had names; `threshold` is there for one column alone."""
NAMED = {"targets", "decisions", "predictions"}
"""Keys that it has since."""
TRAINING = {"epochs_before", "seed"}
"""Keys of the schema that say where training goes on; there is none without them."""


def _demand_schema(value: Mapping[str, Any]) -> None:
    there = set(value)
    wanted = set(SCHEMA) - EARLIER if "targets" in there else set(SCHEMA) - NAMED
    wanted -= {"threshold"} - there
    wanted -= set() if TRAINING & there else TRAINING
    demand(set(value) == wanted, f"{', '.join(SCHEMA)} alone")
    for key in wanted:
        demand(SCHEMA[key](value[key]), f"another {key}")


def _tensors(value: Any, more: Set[str] = frozenset(), optional: Set[str] = frozenset()) -> bool:
    return (
        isinstance(value, dict)
        and 0 < len(value) < 1000
        and all(
            _word(name)
            and set(each) - optional == {"dtype", "shape", *more}
            and each["dtype"] in DTYPES
            and isinstance(each["shape"], list)
            and len(each["shape"]) < 32
            and all(map(_count, each["shape"]))
            and math.prod(each["shape"]) <= VALUES
            and meanings.known(each)
            for name, each in value.items()
        )
    )


def _word(value: Any) -> bool:
    return isinstance(value, str) and WORD.fullmatch(value) is not None


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


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
    _demand_requirements(directory / "requirements.txt", held)
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


def _demand_requirements(path: Path, held: list[str]) -> None:
    allowed = {name for each in held for name in declared(each).requires}
    for line in _text(path).splitlines():
        match = REQUIREMENT.fullmatch(line)
        if match is None or match[1] not in allowed:
            known = ", ".join(sorted(allowed))
            raise ValueError(f"{path}: found {line[:200]!r}, expected name==version of {known}")
