"""A statement of provenance is written last in a directory, so its presence means: complete.

in-toto Statement v1 with SLSA's provenance predicate v1. There is no clock, host or user in it:
the same inputs give the same bytes, and a statement's own digest names an artifact.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import filterfalse
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.files import write_atomically
from pipeline.provenance.digests import NAME, contents, digest, files, folded
from pipeline.provenance.environments import environment
from pipeline.untrusted import documents, limits

LISTED = 1000
"""A directory with more files than this is named by its digest alone."""


def build_definition(
    stage: str,
    params: Mapping[str, Any],
    deps: Iterable[str],
    code: Mapping[str, Any],
    annotations: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Returns what an output is made from, as SLSA's buildDefinition; `deps` are paths that exist,
    and `annotations` what is said of some of them."""
    return {
        "buildType": "urn:complete-models:stage:v1",
        "externalParameters": {"stage": stage, "params": params},
        "internalParameters": environment(),
        "resolvedDependencies": [
            dict(code),
            *(_dependency(dep, annotations.get(dep)) for dep in deps),
        ],
    }


def _dependency(name: str, said: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns a resolved dependency. A directory that is no artifact is named with the digest of
    each file in it."""
    path, annotations = Path(name), dict(said or {})
    if not path.is_dir() or (path / NAME).is_file():
        sha256 = digest(path)
    else:
        listed = contents(path)
        sha256 = folded(listed)
        if len(listed) <= LISTED:
            annotations["files"] = listed
    named: dict[str, Any] = {"name": name, "digest": {"sha256": sha256}}
    return named | ({"annotations": annotations} if annotations else {})


def write(directory: Path, definition: Mapping[str, Any], without: str | None = None) -> None:
    """Names every file that lies in the directory now, but for `without`, which is to go; nothing
    may be written there afterwards."""
    names = [name for name in files(directory) if name != without]
    subject = [{"name": name, "digest": {"sha256": digest(directory / name)}} for name in names]
    write_atomically(directory / NAME, sealed(subject, definition))


def sealed(subject: list[dict[str, Any]], definition: Mapping[str, Any]) -> str:
    """Returns the statement's text. Its invocationId is the digest of all the rest, so no bit of it
    can change unnoticed."""
    details: dict[str, Any] = {"builder": {"id": "urn:complete-models:pipeline"}}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": definition, "runDetails": details},
    }
    plain = json.dumps(statement, indent=1, ensure_ascii=False)
    seal = hashlib.sha256(plain.encode()).hexdigest()
    details["metadata"] = {"invocationId": f"sha256:{seal}"}
    return json.dumps(statement, indent=1, ensure_ascii=False) + "\n"


def read(directory: Path) -> dict[str, Any]:
    """Returns the statement. Raises FileNotFoundError where there is none, ValueError where nothing
    can be read from it."""
    statement: dict[str, Any] = documents.read_json(directory / NAME, limits.STATEMENT)
    return statement


def params(directory: Path) -> dict[str, Any]:
    """Returns the parameters that the directory's stage ran with."""
    definition: dict[str, Any] = read(directory)["predicate"]["buildDefinition"]
    recorded: dict[str, Any] = definition["externalParameters"]["params"]
    return recorded


def faults(directory: Path, unread: Callable[[str], bool] = lambda name: False) -> list[str]:
    """Returns every way in which the bytes at hand differ from the statement: missing, extra,
    changed. Of files that nobody is going to read now, `unread`, the bytes are not read, either."""
    path = directory / NAME
    if not path.is_file():
        return [f"{path}: missing, so the directory is not complete"]
    try:
        statement = read(directory)
        definition = statement["predicate"]["buildDefinition"]
        intact = sealed(statement["subject"], definition) == path.read_text()
        subject = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
        if len(subject) < len(statement["subject"]):
            raise ValueError("it names a file twice")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
        return [f"{path}: changed: no statement can be read from it ({fault})"]
    if not intact:  # then it vouches for nothing, and no other file can be judged by it
        return [f"{path}: changed: its seal does not fit its content"]
    return _differences(directory, subject, unread)


def _differences(
    directory: Path, subject: Mapping[str, str], unread: Callable[[str], bool]
) -> list[str]:
    present = set(files(directory))
    differences = [f"{directory / name}: missing" for name in subject if name not in present]
    differences += [f"{directory / name}: not in the statement" for name in present - set(subject)]
    for name in filterfalse(unread, present & set(subject)):
        actual = digest(directory / name)
        if actual != subject[name]:
            text = f"changed: sha256 is {actual}, the statement has {subject[name]}"
            differences.append(f"{directory / name}: {text}")
    return sorted(differences)
