"""Every statement at hand: in artifacts/, parents/, MLflow's files and DVC's cache, and those that
they carry in lineage/."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline import provenance
from pipeline.errors import IncompleteArtifact, PipelineError
from pipeline.project import EXPORT_COMPLETE, PARENTS
from pipeline.provenance import lineage
from pipeline.provenance.lineage import OUTPUTS, Node
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve.mlflow_tables import Local
from pipeline.untrusted import plain_files


def parse(content: bytes) -> Node | None:
    """Returns null for anything but a statement."""
    try:
        return lineage.parse(content)
    except ValueError:
        return None


def statement(path: Path) -> Node | None:
    """Returns null for a file that holds no statement, and for no file."""
    try:
        return lineage.node(path) if path.is_file() else None
    except ValueError:
        return None


def demand_readable(directory: Path, root: Path) -> None:
    """Raises IncompleteArtifact unless an artifact's directory, which may be a stranger's, holds
    plain files that all lie there, and a lineage that can be read. Links into DVC's cache are how
    DVC may lay them out."""
    plain_files.demand(directory, resolve_dvc.cache(root).resolve())
    try:
        lineage.statements(directory)
    except ValueError as fault:
        raise IncompleteArtifact(f"{fault}; get it again from where it came") from None


def carried(directory: Path) -> Iterator[Node]:
    """Yields an artifact's own statement first, then those that it carries; what cannot be read is
    left out."""
    try:
        paths = lineage.statements(directory)
    except ValueError:
        paths = [directory / provenance.NAME]
    yield from (node for path in paths if (node := statement(path)))


def in_work_tree(root: Path) -> Iterator[Path]:
    """Yields the work tree's artifacts and the complete models that others were trained on from."""
    for folder in (root / OUTPUTS, root / PARENTS):
        yield from (p.parent for p in sorted(folder.glob(f"[!.]*/{provenance.NAME}")))


def directories(digest: str, root: Path) -> Iterator[Path]:
    """Yields the directories in the work tree and of logged models that may have an artifact with
    this digest, or one that begins so; in a store of thousands the others are not looked at."""
    yield from in_work_tree(root)
    with contextlib.suppress(PipelineError):
        if isinstance(store := resolve_mlflow.store(root), Local):
            yield from store.directories(digest)


def at_hand(root: Path) -> dict[str, Node]:
    """Returns all nodes that are in the repository, in its MLflow store and in DVC's cache, by
    digest."""
    nodes: dict[str, Node] = {}
    for directory in (*in_work_tree(root), *resolve_mlflow.model_directories(root)):
        nodes |= {node.digest: node for node in carried(directory)}
    paths = [*resolve_mlflow.logged_statements(root), *_cached_statements(root)]
    for path in dict.fromkeys(paths):
        if node := statement(path):
            nodes.setdefault(node.digest, node)
    return nodes


def _cached_statements(root: Path) -> Iterator[Path]:
    """Yields the objects of DVC's cache that are the statement of a directory in it, or carried by
    one."""
    seen = set()
    for md5, path in resolve_dvc.directories(root):
        if path not in seen and path.is_file():
            seen.add(path)
            listed = resolve_dvc.listing(root, md5) or {}
            yield path
            yield from (p for name, p in listed.items() if name.startswith(f"{lineage.FOLDER}/"))


def complete(nodes: Mapping[str, Node], first: Node, root: Path) -> dict[str, Node]:
    """Returns `first` and all that it was made from; statements that `nodes` lack are looked for in
    the work tree, then everywhere."""
    nodes = {**nodes, first.digest: first}
    chain = lineage.walk(first, nodes)
    if _lacking(chain):
        in_tree = {n.digest: n for place in in_work_tree(root) for n in carried(place)}
        chain = lineage.walk(first, in_tree | nodes)
    if _lacking(chain):
        chain = lineage.walk(first, at_hand(root) | nodes)
    return {node.digest: node for node in chain}


def _lacking(chain: list[Node]) -> set[str]:
    """Returns the digests of artifacts that the nodes were made from and that are not among
    them."""
    deps = (dep for node in chain for dep in node.deps.items())
    named = {digest for path, digest in deps if lineage.is_artifact(path)}
    return named - {node.digest for node in chain}


def places(nodes: Mapping[str, Node], root: Path) -> dict[str, Path]:
    """Returns the directory at hand of each digest."""
    at = {provenance.digest(place): place for place in reversed([*in_work_tree(root)])}
    for digest, node in nodes.items():
        if digest not in at and node.stage == EXPORT_COMPLETE:
            for directory in directories(digest, root):
                at.setdefault(provenance.digest(directory), directory)
    return {digest: path for digest, path in at.items() if digest in nodes}


def cached_files(digests: set[str], root: Path) -> dict[str, Mapping[str, Path]]:
    """Returns, by digest, the object in DVC's cache of each file. Of several directories with the
    same statement the one with the most files at hand counts."""
    fullest: dict[str, Mapping[str, Path]] = {}
    if not digests:
        return fullest
    for md5, path in resolve_dvc.directories(root):
        listed = resolve_dvc.listing(root, md5) if path.is_file() else None
        digest = provenance.digest(path) if listed else ""
        if listed and digest in digests and _present(listed) > _present(fullest.get(digest, {})):
            fullest[digest] = listed
    return fullest


def _present(files: Mapping[str, Path]) -> int:
    return sum(path.is_file() for path in files.values())
