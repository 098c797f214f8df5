"""Every artifact carries the statements of all that it was made from, so it can be traced alone.

lineage/<stage>.json is the statement of an artifact upstream, byte for byte: its sha256 is the
digest by which the statement further down names it; lineage/<stage>.patch is its source.patch, if
its tree was dirty. lineage/parents/<digest>/ is the same of a complete model that was trained on
from, itself as complete-model.json.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.project import PARENTS

FOLDER = "lineage"
MODEL = "complete-model"

LARGEST = 16 << 20
"""Bytes of a statement; that of a directory with 100,000 files has about as many."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """An artifact as its statement tells it."""

    digest: str
    """sha256 of the statement, which names the artifact."""
    statement: Mapping[str, Any]

    @property
    def definition(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.statement["predicate"]["buildDefinition"]
        return found

    @property
    def stage(self) -> str:
        return str(self.definition["externalParameters"]["stage"])

    @property
    def params(self) -> Mapping[str, Any]:
        """The sections that the stage ran with."""
        found: Mapping[str, Any] = self.definition["externalParameters"]["params"]
        return found

    @property
    def environment(self) -> Mapping[str, Any]:
        """python, platform, and packages with their versions."""
        found: Mapping[str, Any] = self.definition["internalParameters"]
        return found

    @property
    def subject(self) -> dict[str, str]:
        """File -> sha256."""
        return {each["name"]: each["digest"]["sha256"] for each in self.statement["subject"]}

    @property
    def deps(self) -> dict[str, str]:
        """Path as in dvc.yaml -> sha256; an artifact's is that of its statement."""
        found = self.definition["resolvedDependencies"]
        return {d["name"]: d["digest"]["sha256"] for d in found if "sha256" in d["digest"]}

    @property
    def commit(self) -> str | None:
        for each in self.definition["resolvedDependencies"]:
            if "gitCommit" in each["digest"]:
                return each["digest"]["gitCommit"]  # type: ignore[no-any-return]
        return None

    @property
    def patch(self) -> str | None:
        """sha256 of source.patch, which lies beside the statement; None for a clean tree."""
        for each in self.definition["resolvedDependencies"]:
            if provenance.PATCH in each.get("annotations", {}):
                return each["annotations"][provenance.PATCH]  # type: ignore[no-any-return]
        return None


def carry(deps: Iterable[str], output: Path) -> None:
    """Copies the statements of complete artifacts among `deps`, and those that they carry."""
    for dep in map(Path, deps):
        if not (dep / provenance.NAME).is_file():
            continue
        if dep.parent == PARENTS:
            target, called = output / FOLDER / dep, MODEL
        else:
            target, called = output / FOLDER, node(dep / provenance.NAME).stage
        _copy(dep / provenance.NAME, target / f"{called}.json")
        if (dep / provenance.PATCH).is_file():
            _copy(dep / provenance.PATCH, target / f"{called}.patch")
        for name in provenance.files(dep / FOLDER):
            # A parent's parents lie beside it, not within it.
            within = output / FOLDER if name.startswith(f"{PARENTS}/") else target
            _copy(dep / FOLDER / name, within / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def node(path: Path) -> Node:
    """Of a statement's file. Raises ValueError for anything else."""
    with path.open("rb") as file:
        return parse(file.read(LARGEST + 1))


def parse(content: bytes) -> Node:
    """A statement all of whose parts can be read; it may come from anybody. Raises ValueError."""
    if len(content) > LARGEST:
        raise ValueError(f"holds more than {LARGEST} bytes")
    try:
        found = Node(digest=hashlib.sha256(content).hexdigest(), statement=json.loads(content))
        _demand_plain(found)
    except (LookupError, TypeError, AttributeError, RecursionError) as fault:
        raise ValueError(f"no statement: {type(fault).__name__}: {fault}") from None
    return found


def _demand_plain(node: Node) -> None:
    """Names and digests are texts, and no name leads out of a directory."""
    names = [*node.subject, *node.deps]
    packages = node.environment["packages"]
    texts = [*names, *node.subject.values(), *node.deps.values(), node.environment["python"]]
    texts += [node.environment["platform"], *packages, *packages.values()]
    texts += [node.commit or "", node.patch or ""]
    if not all(isinstance(each, str) for each in texts):
        raise ValueError("no statement: a name, version or digest in it is no text")
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise ValueError("no statement: a name in it leads out of its directory")
    if not all(isinstance(each, Mapping) for each in (node.params, *node.params.values())):
        raise ValueError("no statement: its parameters are no mapping")


def nodes(directory: Path) -> dict[str, Node]:
    """The artifact's own first, then all that it carries, by digest."""
    paths = [directory / provenance.NAME]
    carried = (n for n in provenance.files(directory / FOLDER) if n.endswith(".json"))
    paths += [directory / FOLDER / name for name in carried]
    found = (node(path) for path in paths)
    return {each.digest: each for each in found}


def upstream(first: Node, known: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """The path in dvc.yaml and the node of each artifact that `first` was made from directly."""
    for path, digest in first.deps.items():
        if digest in known:
            yield path, known[digest]
