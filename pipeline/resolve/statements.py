"""Every statement at hand: in artifacts/, parents/, MLflow's files and DVC's cache, and those that
they carry in lineage/."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.project import PARENTS
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve.mlflow import Local

ARTIFACTS = Path("artifacts")
STAGE = "export-complete"
"""That makes what MLflow logs."""


def parse(content: bytes) -> Node | None:
    """None for anything but a statement."""
    try:
        return lineage.parse(content)
    except ValueError:
        return None


def statement(path: Path) -> Node | None:
    return parse(path.read_bytes()) if path.is_file() else None


def is_artifact(dep: str) -> bool:
    """Whether a dep's digest is that of a statement, going by its path in dvc.yaml."""
    return PurePosixPath(dep).parts[:1] in ((ARTIFACTS.name,), (PARENTS.name,))


def of(directory: Path) -> Iterator[Node]:
    """Its own first, then those that it carries; what cannot be read is left out."""
    names = provenance.files(directory / lineage.FOLDER)
    paths = [directory / provenance.NAME, *(directory / lineage.FOLDER / name for name in names)]
    yield from (node for path in paths if (node := statement(path)))


def near(root: Path) -> Iterator[Path]:
    """The work tree's artifacts and the complete models that others were trained on from."""
    for folder in (root / ARTIFACTS, root / PARENTS):
        yield from (p.parent for p in sorted(folder.glob(f"[!.]*/{provenance.NAME}")))


def logged(root: Path) -> Iterator[Path]:
    """Directories of logged models."""
    folder = resolve_mlflow.folder(root)
    for pattern in ("models/*/artifacts", "*/models/*/artifacts"):
        yield from (p.parent for p in sorted(folder.glob(f"{pattern}/{provenance.NAME}")))


def named(digest: str, root: Path) -> Iterator[Path]:
    """Directories near and logged models that may have an artifact with this digest, or one that
    begins so; in a store of thousands the others are not looked at."""
    yield from near(root)
    with contextlib.suppress(PipelineError):
        if isinstance(store := resolve_mlflow.store(root), Local):
            yield from store.directories(digest)


def cached(root: Path) -> Iterator[tuple[str, Path]]:
    """md5 and statement of directories in DVC's cache, each statement once."""
    seen = set()
    for md5, path in resolve_dvc.directories(root):
        if path not in seen and path.is_file():
            seen.add(path)
            yield md5, path


def every(root: Path) -> dict[str, Node]:
    """All at hand, by digest."""
    found: dict[str, Node] = {}
    for directory in (*near(root), *logged(root)):
        found |= {node.digest: node for node in of(directory)}
    folder = resolve_mlflow.folder(root)
    paths = [*folder.glob("*/artifacts/provenance/*.json")]
    paths += folder.glob("*/*/artifacts/provenance/*.json")
    for md5, path in cached(root):
        held = resolve_dvc.listing(root, md5) or {}
        carried = (p for name, p in held.items() if name.startswith(f"{lineage.FOLDER}/"))
        paths += [path, *carried]
    for path in dict.fromkeys(paths):
        if node := statement(path):
            found.setdefault(node.digest, node)
    return found


def chain(first: Node, nodes: Mapping[str, Node]) -> dict[str, Node]:
    """`first` and everything upstream of it among `nodes`, nearest first."""
    found, waiting = {first.digest: first}, [first]
    while waiting:
        for _, node in lineage.upstream(waiting.pop(0), nodes):
            if node.digest not in found:
                found[node.digest] = node
                waiting.append(node)
    return found


def whole(first: Node, nodes: Mapping[str, Node], root: Path) -> dict[str, Node]:
    """The chain; statements that `nodes` lack are looked for near first, then everywhere."""
    found = chain(first, nodes)
    if lacking(found):
        found = chain(first, {n.digest: n for d in near(root) for n in of(d)} | dict(nodes))
    if lacking(found):
        found = chain(first, every(root) | dict(nodes))
    return found


def lacking(nodes: Mapping[str, Node]) -> set[str]:
    """Digests of artifacts that `nodes` were made from and that are not among them."""
    named = {d for node in nodes.values() for dep, d in node.deps.items() if is_artifact(dep)}
    return named - set(nodes)


def places(nodes: Mapping[str, Node], root: Path) -> dict[str, Path]:
    """Digest -> directory at hand."""
    found = {provenance.digest(directory): directory for directory in reversed([*near(root)])}
    for digest, node in nodes.items():
        if digest not in found and node.stage == STAGE:
            for directory in named(digest, root):
                found.setdefault(provenance.digest(directory), directory)
    return {digest: path for digest, path in found.items() if digest in nodes}


def objects(digests: set[str], root: Path) -> dict[str, dict[str, Path]]:
    """Digest -> file -> object in DVC's cache. Of several directories with the same statement the
    one with the most files at hand counts."""
    found: dict[str, dict[str, Path]] = {}
    if not digests:
        return found
    for md5, path in resolve_dvc.directories(root):
        held = resolve_dvc.listing(root, md5) if path.is_file() else None
        if held and (digest := provenance.digest(path)) in digests:
            before = sum(p.is_file() for p in found.get(digest, {}).values())
            if sum(p.is_file() for p in held.values()) > before:
                found[digest] = held
    return found
