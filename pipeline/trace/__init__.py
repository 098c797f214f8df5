"""`python -m pipeline.trace WHAT`: what this is, what it was made from, and whether that is true.

Every claim of the statements is compared with the bytes at hand. Nothing is loaded that makes or
runs a model, nothing is written, and only a WHAT that names an MLflow server uses the network.
Exit code 0: nothing is contradicted; 1: something is; 2: WHAT could not be resolved.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import ParamsError, PipelineError
from pipeline.project import EXPORT_COMPLETE, repository
from pipeline.provenance import git, lineage
from pipeline.provenance.lineage import Node
from pipeline.resolve import ACCEPTED, Resolved, resolve
from pipeline.resolve import dvc as resolve_dvc
from pipeline.text import escaped, escaped_values
from pipeline.trace.claims import Case, Check, direct, kind
from pipeline.trace.code import Source
from pipeline.trace.environment import environment
from pipeline.trace.files import carried, files, links, params, path_of, seal
from pipeline.trace.raw_data import data, elsewhere
from pipeline.trace.records import dvc, mlflow
from pipeline.trace.source import code, code_files, sources

VERDICTS = ("verified", "missing", "contradicted")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.trace",
        description="From an artifact back to the code, data and params that it was made from; "
        "each claim is compared with the bytes at hand.",
        epilog="exit code: 0 nothing is contradicted, 1 something is, 2 WHAT cannot be resolved",
    )
    parser.add_argument("what", metavar="WHAT", help=ACCEPTED)
    parser.add_argument("--json", action="store_true", help="the same for programs")
    options = parser.parse_args(arguments)
    root = repository()
    try:
        resolved = resolve(options.what, root)
    except PipelineError as error:
        print(f"error: trace: {escaped(str(error))}", file=sys.stderr)
        return 2
    report = trace(options.what, resolved, root)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        from pipeline.trace.text import as_text

        print(as_text(escaped_values(report)), end="")
    return 1 if report["counts"]["contradicted"] else 0


def trace(what: str, resolved: Resolved, root: Path) -> dict[str, Any]:
    """Returns plain values, in the order in which a person reads them."""
    case = _case(resolved, root)
    code_of = sources(case)
    here = provenance.environment()
    nodes = []
    for node in lineage.walk(resolved.node, resolved.known):
        source = code_of[node.commit, node.patch]
        checks = list(_checks(node, source, case, here))
        nodes.append(_entry(node, source, case, checks))
    verdicts = [check["verdict"] for node in nodes for check in node["checks"]]
    return {
        "what": what,
        "kind": kind(resolved.node),
        "digest": resolved.node.digest,
        "file": resolved.file,
        "run": resolved.run,
        "revision": resolved.revision,
        "root": str(root),
        "counts": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
        "nodes": nodes,
    }


def _case(resolved: Resolved, root: Path) -> Case:
    name, fault = resolve_dvc.LOCK, None
    if resolved.revision:
        name += f" of commit {resolved.revision[:12]}"
        text = git.file_at(root, resolved.revision, resolve_dvc.LOCK)
    else:
        path = root / resolve_dvc.LOCK
        text = path.read_bytes() if path.is_file() else None
    lock: Mapping[str, Any] = {}
    try:
        lock = resolve_dvc.stages(text, name)
    except ParamsError as error:
        fault = str(error)
    return Case(
        resolved=resolved,
        root=root,
        lock=lock,
        lock_name=name,
        lock_fault=fault,
        direct=direct(resolved.node, resolved.known),
    )


def _checks(node: Node, source: Source, case: Case, here: dict[str, Any]) -> Iterator[Check]:
    """Yields what is checked of a node. A statement with a broken seal vouches for nothing, so
    nothing else is judged by it."""
    first = list(seal(node, case))
    yield from first
    if any(check.verdict == "contradicted" for check in first):
        return
    yield from files(node, case)
    yield from carried(node, case)
    yield from links(node, case)
    yield from data(node, source, case)
    yield from elsewhere(node, case)
    yield from params(node, case)
    yield from code(source, case)
    yield from code_files(node, source, case)
    yield environment(node, here)
    yield from dvc(node, case)
    if node.stage == EXPORT_COMPLETE:
        yield from mlflow(node, case)


def _entry(node: Node, source: Source, case: Case, checks: list[Check]) -> dict[str, Any]:
    place = case.resolved.places.get(node.digest)
    known = case.resolved.known
    return {
        "kind": kind(node),
        "digest": node.digest,
        "stage": node.stage,
        "path": path_of(node, case),
        "place": str(place) if place else None,
        "in_dvc_cache": node.digest in case.resolved.cached,
        "parent": node.digest not in case.direct,
        "made_from": [
            {"path": path, "digest": digest, "known": digest in known}
            for path, digest in node.deps.items()
        ],
        "params": node.params,
        "code": {
            "commit": node.commit,
            "title": source.title,
            "ref": source.ref,
            "patch": node.patch,
            "patch_file": str(source.patch_file) if source.patch_file else None,
        },
        "environment": node.environment,
        "files": node.subject,
        "checks": [
            {"claim": c.claim, "verdict": c.verdict, "text": c.text, "todo": c.todo} for c in checks
        ],
    }
