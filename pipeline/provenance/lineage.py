"""Every artifact carries the statements of all that it was made from, so it can be traced alone.

lineage/<stage>.json is the statement of an artifact upstream, byte for byte: its sha256 is the
digest by which the statement further down names it; lineage/<stage>.patch is its source.patch, if
its tree was dirty. lineage/parents/<digest>/ is the same of a complete model that was trained on
from, itself as complete-model.json.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pipeline.project import CHECKPOINTS, PARENTS
from pipeline.provenance.digests import NAME, files
from pipeline.provenance.judging import demand_plain
from pipeline.provenance.statement import sealed
from pipeline.provenance.work_tree import NOT_CODE, PATCH
from pipeline.untrusted import documents, limits

FOLDER = "lineage"
OUTPUTS = Path("artifacts")
"""Where the stages write, as dvc.yaml names it."""
MODEL = "complete-model"


@dataclass(frozen=True, kw_only=True)
class Node:
    """An artifact as its statement describes it."""

    digest: str
    """sha256 of the statement, which names the artifact."""
    statement: Mapping[str, Any]

    @property
    def definition(self) -> Mapping[str, Any]:
        definition: Mapping[str, Any] = self.statement["predicate"]["buildDefinition"]
        return definition

    @property
    def stage(self) -> str:
        return str(self.definition["externalParameters"]["stage"])

    @property
    def params(self) -> Mapping[str, Any]:
        """Returns the sections that the stage ran with."""
        sections: Mapping[str, Any] = self.definition["externalParameters"]["params"]
        return sections

    @property
    def environment(self) -> Mapping[str, Any]:
        """Returns Python, platform, and packages with their versions."""
        environment: Mapping[str, Any] = self.definition["internalParameters"]
        return environment

    @cached_property
    def subject(self) -> dict[str, str]:
        """Returns the sha256 of each file of the artifact."""
        return {each["name"]: each["digest"]["sha256"] for each in self.statement["subject"]}

    @cached_property
    def deps(self) -> dict[str, str]:
        """Returns the sha256 of each dep by its path as in dvc.yaml; an artifact's is that of its
        statement."""
        named = self.definition["resolvedDependencies"]
        return {d["name"]: d["digest"]["sha256"] for d in named if "sha256" in d["digest"]}

    def files(self, dep: str) -> dict[str, str]:
        """Returns the sha256 of each file in a dep that is a directory; none where the statement
        does not list them."""
        for each in self.definition["resolvedDependencies"]:
            if each["name"] == dep:
                listed: dict[str, str] = each.get("annotations", {}).get("files", {})
                return listed
        return {}

    def streamed(self, dep: str) -> list[str]:
        """Returns the .dvc files in a dep of whose folders nothing was here: their rows were read
        from DVC's remote."""
        return [name for name in self.files(dep) if name.endswith(".dvc")]

    @property
    def elsewhere(self) -> Mapping[str, Any]:
        """Returns what is known of the checkpoint that training started from, and what is not;
        nothing where it did not start from one."""
        for each in self.definition["resolvedDependencies"]:
            if origin := each.get("annotations", {}).get("trainedElsewhere"):
                return origin  # type: ignore[no-any-return]
        return {}

    @property
    def commit(self) -> str | None:
        for each in self.definition["resolvedDependencies"]:
            if "gitCommit" in each["digest"]:
                return each["digest"]["gitCommit"]  # type: ignore[no-any-return]
        return None

    @property
    def patch(self) -> str | None:
        """Returns the sha256 of source.patch, which lies beside the statement; None for a clean
        tree."""
        for each in self.definition["resolvedDependencies"]:
            if PATCH in each.get("annotations", {}):
                return each["annotations"][PATCH]  # type: ignore[no-any-return]
        return None

    @property
    def intact(self) -> bool:
        """Returns whether the statement is, to the byte, what its own seal was put on."""
        text = sealed(list(self.statement["subject"]), self.definition)
        return hashlib.sha256(text.encode()).hexdigest() == self.digest


@dataclass(frozen=True)
class Artifact:
    """A directory with a statement, which is read once."""

    directory: Path

    @cached_property
    def node(self) -> Node:
        """Raises ValueError where there is no statement that can be read."""
        return node(self.directory / NAME)

    @property
    def digest(self) -> str:
        return self.node.digest

    @property
    def params(self) -> Mapping[str, Any]:
        """Returns the sections that its stage ran with."""
        return self.node.params


def walk(first: Node, known: Mapping[str, Node], *, parents: bool = True) -> list[Node]:
    """Returns `first` and all that it was made from, as far as it is among `known`, by digest.

    Each node stands before those that it was made from, and the stages' own line before that of a
    complete model that was trained on from, which `parents` leaves out.
    """
    order: list[Node] = []
    seen: set[str] = set()
    waiting = [(first, False)]
    while waiting:
        node, behind = waiting.pop()
        if behind:  # with all that it was made from
            order.append(node)
        elif node.digest not in seen:
            seen.add(node.digest)
            waiting.append((node, True))
            deps = sorted(upstream(node, known), key=lambda dep: dep[0])
            waiting += [(n, False) for path, n in deps if parents or dep_kind(path) != "parent"]
    return order[::-1]


def upstream(first: Node, known: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Yields the path in dvc.yaml and the node of each artifact that `first` was made from
    directly."""
    for path, sha256 in first.deps.items():
        if sha256 in known:
            yield path, known[sha256]


def dep_kind(dep: str) -> Literal["artifact", "parent", "checkpoint", "data", "code"]:
    """Returns what a dep is, by its path in dvc.yaml. The digest of the first two is that of a
    statement; a checkpoint was made elsewhere, and data are all else that no patch would have."""
    folder = next(iter(PurePosixPath(dep).parts), "")
    if folder == OUTPUTS.name:
        return "artifact"
    if folder == PARENTS.name:
        return "parent"
    if folder == CHECKPOINTS.name:
        return "checkpoint"
    return "data" if folder in NOT_CODE else "code"


def is_artifact(dep: str) -> bool:
    return dep_kind(dep) in ("artifact", "parent")


def carry(deps: Iterable[str], output: Path) -> None:
    """Copies the statements of complete artifacts among `deps`, and those that they carry."""
    for dep in map(Path, deps):
        if not (dep / NAME).is_file():
            continue
        if dep.parent == PARENTS:
            target, called = output / FOLDER / dep, MODEL
        else:
            target, called = output / FOLDER, node(dep / NAME).stage
        _copy(dep / NAME, target / f"{called}.json")
        if (dep / PATCH).is_file():
            _copy(dep / PATCH, target / f"{called}.patch")
        for name in files(dep / FOLDER):
            # A parent's parents lie beside it, not within it.
            within = output / FOLDER if name.startswith(f"{PARENTS}/") else target
            _copy(dep / FOLDER / name, within / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def node(path: Path) -> Node:
    """Returns what the file of a statement holds. Raises ValueError for anything else."""
    return parse(documents.read_bytes(path, limits.STATEMENT))


def parse(content: bytes) -> Node:
    """Returns the node of a statement all of whose parts can be read; it may come from anybody.
    Raises ValueError."""
    if len(content) > limits.STATEMENT:
        raise ValueError(f"holds more than {limits.STATEMENT} bytes")
    try:
        statement = documents.parse_json(content)
        demand_plain(statement)
    except (LookupError, TypeError, AttributeError) as fault:
        raise ValueError(f"no statement: {type(fault).__name__}: {fault}") from None
    return Node(digest=hashlib.sha256(content).hexdigest(), statement=statement)


def statements(directory: Path) -> list[Path]:
    """Returns the files of the artifact's own statement, first, and of all that it carries. Raises
    ValueError for more than anybody's training would need."""
    carried = [directory / FOLDER / n for n in files(directory / FOLDER) if n.endswith(".json")]
    size = sum(path.stat().st_size for path in carried if path.is_file())
    if len(carried) > limits.STATEMENTS or size > limits.LINEAGE:
        raise ValueError(
            f"{directory / FOLDER}: holds {len(carried)} statements of {size} bytes, expected at "
            f"most {limits.STATEMENTS} of {limits.LINEAGE}"
        )
    return [directory / NAME, *carried]


def nodes(directory: Path) -> dict[str, Node]:
    """Returns the artifact's own node first, then all that it carries, by digest. Raises
    ValueError."""
    read = (node(path) for path in statements(directory))
    return {each.digest: each for each in read}
