"""One of two artifacts to compare: its chain of stages, and its files where they are at hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.provenance import git, lineage
from pipeline.provenance.lineage import Node
from pipeline.resolve import Resolved
from pipeline.untrusted import limits

ABSENT = "absent"
"""How a value is called that one side does not have."""


@dataclass(frozen=True, kw_only=True)
class Side:
    name: str
    """A or B."""
    what: str
    resolved: Resolved
    root: Path

    @property
    def node(self) -> Node:
        return self.resolved.node

    @cached_property
    def chain(self) -> dict[str, Node]:
        """Returns the artifacts by their stage, its own first; not those of a parent, nor what that
        was made from."""
        line = lineage.walk(self.node, self.resolved.known, parents=False)
        return {node.stage: node for node in line}

    @cached_property
    def params(self) -> dict[str, Any]:
        """Returns the sections as the stages ran with them."""
        return {k: v for node in self.chain.values() for k, v in node.params.items()}

    def file(self, node: Node, name: str) -> Path | None:
        """Returns the file of an artifact, if its bytes are at hand and those that the statement
        names."""
        place = self.resolved.places.get(node.digest)
        near = place / name if place else self.resolved.cached.get(node.digest, {}).get(name)
        if near is None or not near.is_file():
            return None
        return near if provenance.digest(near) == node.subject.get(name) else None

    def why_missing(self, node: Node, name: str) -> str:
        """Returns the reason for which `file` returns none."""
        place = self.resolved.places.get(node.digest)
        if place and (place / name).is_file():
            return f"{self.name}: {place / name} is not what its statement names; restore it"
        command = (
            f"mlflow artifacts download -r {self.resolved.run}" if self.resolved.run else "dvc pull"
        )
        return f"{self.name}: {name} of {node.digest[:8]} ({node.stage}) is not here; `{command}`"

    def patch(self, node: Node) -> bytes | None:
        """Returns the patch of a stage's code: b"" for a clean tree, None when it is recorded but
        not here. Stages of one run have the same one, so any of them may bring it."""
        if node.patch is None:
            return b""
        for each in self.resolved.known.values():
            path = self.file(each, provenance.PATCH) if each.patch == node.patch else None
            if path and path.stat().st_size <= limits.PATCH:
                return path.read_bytes()
        return None

    def deps(self, node: Node) -> dict[str, str]:
        """Returns the sha256 of each file that a stage reads and that is no artifact: code and raw
        data."""
        digests: dict[str, str] = {}
        for path, digest in node.deps.items():
            if digest not in self.resolved.known:
                files = {f"{path}/{name}": sha256 for name, sha256 in node.files(path).items()}
                digests |= files or {path: digest}
        return digests

    def commits(self, node: Node) -> bool:
        """Returns whether the commit of a stage is at hand."""
        return bool(node.commit and git.has_commit(self.root, node.commit))


def changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the keys that differ, in order, with both values; the side that has none leaves it
    out."""
    keys = [key for key in {**a, **b} if (key in a) != (key in b) or a.get(key) != b.get(key)]
    return [
        {"key": key} | {name: side[key] for name, side in (("a", a), ("b", b)) if key in side}
        for key in keys
    ]


def grouped(
    stages: Iterator[str] | list[str], describe: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Returns the entry that `describe` returns for each stage; stages that have the same share
    one."""
    groups: list[dict[str, Any]] = []
    for stage in stages:
        entry = describe(stage)
        for group in groups:
            if {k: v for k, v in group.items() if k != "stages"} == entry:
                group["stages"].append(stage)
                break
        else:
            groups.append({"stages": [stage], **entry})
    return groups
