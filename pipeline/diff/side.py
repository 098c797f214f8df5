"""One of two artifacts to compare: its chain of stages, and its files where they are at hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.project import PARENTS
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node
from pipeline.resolve import Found
from pipeline.resolve import git as resolve_git

ABSENT = "absent"
"""How a value is called that one side does not have."""


@dataclass(frozen=True, kw_only=True)
class Side:
    name: str
    """A or B."""
    what: str
    found: Found
    root: Path

    @property
    def node(self) -> Node:
        return self.found.node

    @cached_property
    def chain(self) -> dict[str, Node]:
        """Stage -> artifact, its own first; not that of a parent, nor what that was made from."""
        chain, waiting = {self.node.stage: self.node}, [self.node]
        while waiting:
            for path, node in lineage.upstream(waiting.pop(), self.found.known):
                if Path(path).parent != PARENTS and node.stage not in chain:
                    chain[node.stage] = node
                    waiting.append(node)
        return chain

    @cached_property
    def params(self) -> dict[str, Any]:
        """Sections as the stages ran with them."""
        return {k: v for node in self.chain.values() for k, v in node.params.items()}

    def file(self, node: Node, name: str) -> Path | None:
        """The file of an artifact, if its bytes are at hand and those that the statement names."""
        place = self.found.places.get(node.digest)
        near = place / name if place else self.found.cached.get(node.digest, {}).get(name)
        if near is None or not near.is_file():
            return None
        return near if provenance.digest(near) == node.subject.get(name) else None

    def lies(self, node: Node, name: str) -> str:
        """Why `file` has none."""
        place = self.found.places.get(node.digest)
        if place and (place / name).is_file():
            return f"{self.name}: {place / name} is not what its statement names; restore it"
        known = f"mlflow artifacts download -r {self.found.run}" if self.found.run else "dvc pull"
        return f"{self.name}: {name} of {node.digest[:8]} ({node.stage}) is not here; `{known}`"

    def patch(self, node: Node) -> bytes | None:
        """Of the code of a stage: b"" for a clean tree, None when it is recorded but not here.

        Stages of one run have the same one, so any of them may bring it.
        """
        if node.patch is None:
            return b""
        for each in self.found.known.values():
            path = self.file(each, provenance.PATCH) if each.patch == node.patch else None
            if path:
                return path.read_bytes()
        return None

    def deps(self, node: Node) -> dict[str, str]:
        """File -> sha256 of what a stage reads that is no artifact: code and raw data."""
        found: dict[str, str] = {}
        for dep in node.definition["resolvedDependencies"]:
            digest = dep["digest"].get("sha256")
            if digest is None or digest in self.found.known:
                continue
            files = dep.get("annotations", {}).get("files")
            inner = {f"{dep['name']}/{n}": d for n, d in files.items()} if files else {}
            found |= inner or {dep["name"]: digest}
        return found

    def commits(self, node: Node) -> bool:
        """Whether the commit of a stage is at hand."""
        return bool(node.commit and resolve_git.commit(self.root, node.commit))


def changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Keys that differ, in order, with both values; the side that has none leaves it out."""
    keys = [key for key in {**a, **b} if (key in a) != (key in b) or a.get(key) != b.get(key)]
    return [
        {"key": key} | {name: side[key] for name, side in (("a", a), ("b", b)) if key in side}
        for key in keys
    ]


def grouped(
    stages: Iterator[str] | list[str], give: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """What `give` says of each stage, those together of which it says the same."""
    groups: list[dict[str, Any]] = []
    for stage in stages:
        said = give(stage)
        for group in groups:
            if {k: v for k, v in group.items() if k != "stages"} == said:
                group["stages"].append(stage)
                break
        else:
            groups.append({"stages": [stage], **said})
    return groups
