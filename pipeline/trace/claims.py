"""A claim of a statement is verified, missing here, or contradicted by bytes at hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline import provenance
from pipeline.project import ARTIFACTS
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node
from pipeline.resolve import Resolved
from pipeline.resolve import dvc as resolve_dvc

SHORT = 12
"""Digits of a digest that a person reads."""
NAMED = 4
"""Of several names, those that a line gives."""

Verdict = Literal["verified", "missing", "contradicted"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A claim and how it came out. It has a third state beside right and wrong, that there is
    nothing at hand to compare with, so it is no list of faults as a check of verify gives."""

    claim: str
    """What is claimed about: files, statement, code, ..."""
    verdict: Verdict
    text: str
    todo: str | None = None
    """What gets what is missing, or mends what is contradicted."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a trace is about, and where it looks."""

    resolved: Resolved
    root: Path
    lock: Mapping[str, Any]
    """Stages of dvc.lock."""
    lock_name: str
    """What a person calls that dvc.lock."""
    lock_fault: str | None
    """Why that cannot be read."""
    direct: frozenset[str]
    """Digests of the chain up to the complete models that were trained on from, without those."""
    digests: dict[Path, str | None] = field(default_factory=dict)
    """Of what a statement names in the work tree; each is computed once."""

    def digest(self, path: Path) -> str | None:
        """Returns the sha256 of what lies there; None for nothing, and for what no stage reads:
        folders of git, of DVC or of an environment."""
        if path not in self.digests:
            parts = (
                path.relative_to(self.root).parts if path.is_relative_to(self.root) else path.parts
            )
            hidden = not parts or parts[0].startswith(".")
            here = path.exists() and not hidden
            self.digests[path] = provenance.digest(path) if here else None
        return self.digests[path]

    def files(self, node: Node) -> Mapping[str, Path] | None:
        """Returns the path of each file that is at hand, in a directory or in DVC's cache; None
        without one."""
        if place := self.resolved.places.get(node.digest):
            return {p.relative_to(place).as_posix(): p for p in place.rglob("*") if not p.is_dir()}
        return self.resolved.cached.get(node.digest)


def kind(node: Node) -> str:
    return ARTIFACTS.get(node.stage, node.stage)


def named(node: Node) -> str:
    return f"{kind(node)} {node.digest[:SHORT]}"


def listed(names: Iterable[str]) -> str:
    """Returns the first few, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def direct(first: Node, known: Mapping[str, Node]) -> frozenset[str]:
    """Returns the digests upstream of `first` that no parents/ lies before."""
    return frozenset(node.digest for node in lineage.walk(first, known, parents=False))


def artifacts(node: Node) -> dict[str, str]:
    """Returns path and digest of the deps that are named by their statement."""
    return {path: digest for path, digest in node.deps.items() if lineage.is_artifact(path)}


def in_lock(node: Node, case: Case) -> bool | None:
    """Returns whether dvc.lock names this very artifact; None when that cannot be said here."""
    stage = case.lock.get(node.stage) if node.digest in case.direct else None
    out = resolve_dvc.output(stage) if stage else None
    if out is None:
        return False
    place = case.resolved.places.get(node.digest)
    files = resolve_dvc.listing(case.root, out[1])
    if files is None:
        return True if place and resolve_dvc.md5_of(place) == out[1] else None
    statement = files.get(provenance.NAME)
    if statement is None:
        return False
    if statement.is_file():
        return provenance.digest(statement) == node.digest
    if place is None:
        return None
    return resolve_dvc.md5_of(place / provenance.NAME) == resolve_dvc.name_of(statement)
