"""What a statement says of itself is a stranger's words until it is looked at: names that become
paths, versions that become programs."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pipeline.errors import CannotRun
from pipeline.provenance import git
from pipeline.provenance.lineage import Node

STAGE = re.compile(r"[a-z][a-z0-9-]{0,60}")
VERSION = re.compile(r"\d{1,2}\.\d{1,3}\.\d{1,3}\w{0,10}\+?")
DIGEST = re.compile(r"[0-9a-f]{64}")


def demand_plain(nodes: Iterable[Node]) -> None:
    """Raises CannotRun for a statement by which something else than a stage of the commit would be
    run, or anything be written but the clone's own files."""
    for node in nodes:
        for fault in _faults(node):
            raise CannotRun(f"statement of {node.stage[:60]!r} ({node.digest[:12]}): {fault}")


def _faults(node: Node) -> Iterator[str]:
    if not STAGE.fullmatch(node.stage):
        yield f"found stage {node.stage[:60]!r}, expected letters, digits and -"
    if node.commit is not None and not git.is_id(node.commit):
        yield (
            f"found commit {node.commit[:60]!r}, expected the whole id, 40 or 64 hex digits: "
            "a branch, HEAD or an abbreviation names another commit tomorrow"
        )
    if node.patch is not None and not DIGEST.fullmatch(node.patch):
        yield f"found patch {node.patch[:60]!r}, expected a sha256"
    if not VERSION.fullmatch(str(node.environment["python"])):
        yield f"found Python {str(node.environment['python'])[:60]!r}, expected a version"
    for name, digest in node.deps.items():
        if not _is_plain(name) or not DIGEST.fullmatch(digest):
            yield f"found {name[:100]!r} ({digest[:64]!r}) among its deps, expected path and sha256"


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.casefold().startswith((".git", ".dvc")) for part in parts)
    return bool(parts) and name.isprintable() and "\\" not in name and not hidden and name[0] != "."
