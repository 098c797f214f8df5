"""What a name stands for: the artifact, all that it was made from, and where their files lie."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.project import EXPORT_COMPLETE
from pipeline.provenance.lineage import Node
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve import statements
from pipeline.resolve.mlflow_tables import Local


@dataclass(frozen=True, kw_only=True)
class Resolved:
    node: Node
    """The artifact asked for: a complete model's, checkpoint's, train's or data's statement."""
    known: Mapping[str, Node]
    """That one and everything upstream whose statement is at hand, by digest."""
    places: Mapping[str, Path]
    """Digest -> directory at hand whose provenance.json that is; only where there is one."""
    file: str | None = None
    """When a file in it was asked for: its name there."""
    run: str | None = None
    """The MLflow run of this complete model, when the store at hand knows one."""
    cached: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """Digest -> file -> object in DVC's cache, of artifacts that have no directory at hand."""
    revision: str | None = None
    """The commit whose dvc.lock names it, when a revision or an experiment was asked for."""


def gather(
    node: Node,
    root: Path,
    *,
    place: Path | None = None,
    file: str | None = None,
    run: str | None = None,
    revision: str | None = None,
    known: Mapping[str, Node] | None = None,
) -> Resolved:
    """Looks for what `node` was made from, and where its parts lie; `place` is its directory.

    Raises IncompleteArtifact for a directory that `statements.demand_readable` refuses."""
    if place:
        statements.demand_readable(place, root)
    carried = {each.digest: each for each in statements.carried(place)} if place else {}
    chain = statements.complete({**(known or {}), **carried}, node, root)
    places = statements.places(chain, root) | ({node.digest: place} if place else {})
    for each in places.values():
        statements.demand_readable(each, root)
    if run is None and node.stage == EXPORT_COMPLETE:
        run = _run_of(node.digest, root)
    return Resolved(
        node=node,
        known=chain,
        places=places,
        file=file,
        run=run,
        cached=statements.cached_files(set(chain) - set(places), root),
        revision=revision,
    )


def _run_of(digest: str, root: Path) -> str | None:
    """Returns the run that logged it. No server is asked, and a store that cannot be read knows
    none: the rest is shown still."""
    with contextlib.suppress(PipelineError):
        store = resolve_mlflow.store(root)
        if isinstance(store, Local):
            return next((run.id for run in store.runs(digest)), None)
    return None
