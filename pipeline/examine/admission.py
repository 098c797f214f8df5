"""Whether a directory from elsewhere may be loaded at all: nothing in it is run to find out.

Each check reads only what those before it have let through, and the first fault ends it.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline import formats, provenance
from pipeline.config.params import Verify
from pipeline.errors import PipelineError
from pipeline.examine import card, content, examples, loading, programs
from pipeline.project import EXPORT_COMPLETE
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node
from pipeline.sandbox.reports import GIB
from pipeline.untrusted import plain_files, signatures
from pipeline.verification.result import Result, failed

NEVER_LOADED = (
    "{files}: may run code from its file, so it was neither looked into nor loaded; delete it, "
    "unless you trust its maker with your machine"
)
STAGE = "urn:complete-models:stage:v1"


def admit(
    directory: Path, copy: Path, verify: Verify, keys: Sequence[Path], signature: Path | None
) -> Iterator[tuple[str, Result]]:
    """Yields check by check, up to the first fault. `copy` is written: what is judged, and what may
    be loaded."""
    most = int(verify.limits.file_gib * GIB)
    faults = plain_files.faults(directory, most)
    yield "plain files", failed(faults, "no link, pipe, device or odd name; not too many")
    if faults:
        return
    checks: dict[str, Callable[[], str]] = {
        "copied": lambda: _copy(directory, copy, most),
        "signature": lambda: _signature(copy, keys, signature or signatures.beside(directory)),
        "statement": lambda: _statement(copy),
        "lineage": lambda: _lineage(copy),
        "descriptions": lambda: content.descriptions(copy),
        "examples": lambda: examples.demand_described(copy),
        "MLflow": lambda: content.served(copy),
        "formats": lambda: loading.screen(copy, verify.limits),
    }
    for name, check in checks.items():
        try:
            summary = check()
        except (PipelineError, ValueError, OSError) as fault:
            yield name, failed([str(fault).replace(str(copy), str(directory))])
            return
        unsigned = name == "signature" and not keys
        none_to_judge = name == "lineage" and content.is_first(copy)
        yield name, Result(summary=summary, done=not (unsigned or none_to_judge))
    yield "card", card.judged(copy)
    if result := programs.judged(copy, content.carried(copy), content.schema(copy)):
        yield "runtimes", result
    for name in loading.never_loaded(copy):
        yield (
            name,
            Result(summary=NEVER_LOADED.format(files=", ".join(_files(copy, name))), done=False),
        )


def _files(copy: Path, name: str) -> list[str]:
    return sorted(entry for entry in formats.declared(name).entries if (copy / entry).exists())


def _copy(directory: Path, copy: Path, most: int) -> str:
    """Copies what is judged, so that nothing changes between the look at it and its loading."""
    copy.mkdir()
    left = most
    for path in sorted(directory.rglob("*")):
        target = copy / path.relative_to(directory)
        if path.is_dir() and not path.is_symlink():
            target.mkdir()
            continue
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as source, target.open("xb") as written:
            status = os.fstat(opened)
            left -= status.st_size
            if not stat.S_ISREG(status.st_mode) or left < 0:
                raise ValueError(f"{path}: changed while it was copied")
            shutil.copyfileobj(source, written)
    if faults := plain_files.faults(copy, most):
        raise ValueError(faults[0])
    return "what follows is of a private copy"


def _signature(copy: Path, keys: Sequence[Path], signature: Path) -> str:
    if not keys:
        return "none was demanded, so nothing says who made it; --trusted-key demands one"
    return f"every file is as the key {signatures.demand(copy, keys, signature)} signed it"


def _statement(copy: Path) -> str:
    """Demands that its seal fits, that it names every file at hand and no other, and that it is a
    complete model's."""
    if not (copy / provenance.NAME).is_file():
        raise ValueError(f"{copy / provenance.NAME}: missing, so the directory is not complete")
    node = statement(copy / provenance.NAME)
    if faults := provenance.faults(copy):
        raise ValueError(faults[0] + (f" (and {len(faults) - 1} more)" if faults[1:] else ""))
    if hidden := list(copy.rglob("__pycache__")):
        raise ValueError(f"{hidden[0]}: not in the statement")
    if node.definition.get("buildType") != STAGE or node.stage != EXPORT_COMPLETE:
        raise ValueError(f"{copy}: is what {node.stage} made, expected a complete model")
    return f"names each of {len(node.subject)} files; sha256 {node.digest}"


def statement(path: Path) -> Node:
    """Reads one that is laid out as `provenance.write` does. Raises ValueError."""
    try:
        node = lineage.node(path)
    except ValueError as fault:
        raise ValueError(f"{path}: no statement can be read from it ({fault})") from None
    if provenance.sealed(node.statement["subject"], node.definition) != path.read_text():
        raise ValueError(f"{path}: forged or damaged: its seal does not fit its content")
    return node


def _lineage(copy: Path) -> str:
    """Demands that it carries all the statements that the chain names, and their patches."""
    if content.is_first(copy):
        return "it is from before a complete model carried its lineage, so there is none to judge"
    lineage.statements(copy)  # no more of them than can be read
    own = lineage.node(copy / provenance.NAME)
    nodes, patches = {own.digest: own}, {"": own.patch}
    for name in provenance.files(copy / lineage.FOLDER):
        path = copy / lineage.FOLDER / name
        if path.suffix == ".json":
            node = statement(path)
            nodes[node.digest] = node
            patches[name.removesuffix(".json")] = node.patch
            if path.stem != (lineage.MODEL if node.stage == EXPORT_COMPLETE else node.stage):
                raise ValueError(f"{path}: is the statement of {node.stage}")
    _demand_chain(own, nodes, copy)
    _demand_patches(copy, patches)
    return f"{len(nodes) - 1} statements upstream, each the one that the chain names"


def _demand_chain(own: Node, nodes: Mapping[str, Node], copy: Path) -> None:
    seen, waiting = {own.digest}, [own]
    while waiting:
        node = waiting.pop()
        for path, digest in node.deps.items():
            if path.startswith(("artifacts/", "parents/")) and digest not in nodes:
                raise ValueError(f"{copy}: {node.stage} was made from {path} {digest}, not carried")
        new = [each for _, each in lineage.upstream(node, nodes) if each.digest not in seen]
        seen |= {each.digest for each in new}
        waiting += new
    if strangers := nodes.keys() - seen:
        stage = nodes[min(strangers)].stage
        raise ValueError(f"{copy}/{lineage.FOLDER}: a statement of {stage} is not of its chain")


def _demand_patches(copy: Path, named: Mapping[str, str | None]) -> None:
    for name, expected in named.items():
        path = copy / (f"{lineage.FOLDER}/{name}.patch" if name else provenance.PATCH)
        digest = provenance.digest(path) if path.is_file() else None
        if digest != expected:
            raise ValueError(f"{path}: found {digest}, the statement names {expected}")
    for name in provenance.files(copy / lineage.FOLDER):
        if not name.endswith((".json", ".patch")) or name.rpartition(".")[0] not in named:
            raise ValueError(f"{copy}/{lineage.FOLDER}/{name}: is no statement and no patch of one")
