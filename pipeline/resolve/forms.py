"""The forms that a name can have: a path, MLflow's addresses and run ids, git's revisions, digests.

Each is a function that gives null for a name of another form, and raises PipelineError for one of
its own that leads nowhere.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.project import EXPORT_COMPLETE
from pipeline.provenance import git, lineage
from pipeline.provenance.lineage import Node
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve import statements
from pipeline.resolve.logged import KEY, Logged
from pipeline.resolve.mlflow_tables import Local
from pipeline.resolve.resolved import Resolved, gather
from pipeline.resolve.statements import statement
from pipeline.untrusted import plain_files

SHA256 = re.compile(r"[0-9a-f]{8,64}")
RUN = re.compile(r"[0-9a-f]{32}")
LISTED = 5
"""Candidates that an error names."""


def by_path(what: str, root: Path) -> Resolved | None:
    """Returns the nearest directory with a statement; a file that lies in none is known by its
    bytes."""
    path = next((p for p in (Path(what), root / what) if what and p.exists()), None)
    if path is None:
        return None
    # DVC may make files links into its cache, so only their directories are resolved.
    absolute = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    for directory in (absolute, *absolute.parents):
        if (directory / provenance.NAME).is_file():
            break
    else:
        if path.is_dir():
            return None
        plain_files.demand_stored(path)
        node = statement(path)
        return gather(node, root) if node else by_sha256(provenance.digest(path), root)
    try:
        node = lineage.node(directory / provenance.NAME)
    except ValueError as fault:
        raise PipelineError(
            f"{directory / provenance.NAME}: changed: no statement can be read from it ({fault}); "
            "get the directory again from where it came"
        ) from None
    file = absolute.relative_to(directory).as_posix() if path.is_file() else None
    return gather(node, root, place=directory, file=file)


def by_uri(what: str, root: Path) -> Resolved | None:
    """Returns what models:/... and runs:/... name."""
    match = re.fullmatch(r"(models|runs):/+([^/@]+)(?:[/@](.*))?", what)
    if match is None:
        return None
    store = resolve_mlflow.store(root)
    scheme, name, rest = match[1], match[2], (match[3] or "").strip("/")
    if scheme == "runs":
        return _logged(store.run(name), what, store.shown, root, rest)
    if not rest or re.fullmatch(r"m-[0-9a-f]{32}", name):
        return _logged(store.model(name), what, store.shown, root, rest)
    named, _, rest = rest.partition("/")
    version = store.version(name, f"@{named}" if "@" in what else named)
    if version is None:
        raise PipelineError(
            f"{what}: {store.shown} has no such version; see the models that it has (`make ui`), "
            "or look at tracking.uri in params.yaml"
        )
    source, run = version
    if source.startswith(("models:/", "runs:/")):
        return by_uri(f"{source.rstrip('/')}/{rest}".rstrip("/"), root)
    place = store.path(source) if isinstance(store, Local) else None
    logged = Logged(run=run, place=place) if place else store.run(run or "")
    return _logged(logged, what, store.shown, root, rest)


def by_run(what: str, root: Path) -> Resolved | None:
    """Returns what an MLflow run's id names."""
    if not RUN.fullmatch(what):
        return None
    store = resolve_mlflow.store(root)
    logged = store.run(what)
    return _logged(logged, what, store.shown, root, "") if logged else None


def _logged(logged: Logged | None, what: str, shown: str, root: Path, rest: str) -> Resolved:
    """Returns a logged model, or a part of it. `rest` is a path below the run or the logged model:
    a file, or a stage's statement."""
    if logged is None:
        raise PipelineError(f"{what}: not in {shown}; look at tracking.uri in params.yaml")
    known = {n.digest: n for content in logged.statements if (n := statements.parse(content))}
    node = statement(logged.place / provenance.NAME) if logged.place else None
    node = node or next(iter(known.values()), None)
    if node is None and logged.digest and (elsewhere := by_sha256(logged.digest, root)):
        node = elsewhere.node
    if node is None:
        raise PipelineError(f"{what}: {_without_statement(logged, shown)}")
    stage = re.fullmatch(r"provenance/([\w-]+)\.json", rest)
    if stage and stage[1] != node.stage:
        upstream = gather(node, root, place=logged.place, known=known).known
        for each in upstream.values():
            if each.stage == stage[1]:
                return gather(each, root, known=upstream)
    name = rest.removeprefix(f"{logged.name}/")
    file = name if name in (*node.subject, provenance.NAME) else None
    return gather(node, root, place=logged.place, file=file, run=logged.run, known=known)


def _without_statement(logged: Logged, shown: str) -> str:
    if logged.digest is None:
        return (
            f"in {shown}, but not logged by this pipeline; expected a run or a logged model "
            f"with the tag {KEY}"
        )
    return (
        f"in {shown} as the complete model {logged.digest}, whose files are neither there nor at "
        "hand; try `dvc pull`, or give its directory"
    )


def locked(what: str, root: Path) -> tuple[str, str, str] | None:
    """Returns commit, path and md5 of the complete model that the dvc.lock of a git revision or a
    DVC experiment names; None for another name."""
    commit = git.commit(root, what) or _experiment(what, root)
    if commit is None:
        return None
    where = _lock_of(what, commit)
    lock = resolve_dvc.stages(git.file_at(root, commit, resolve_dvc.LOCK), where)
    out = resolve_dvc.output(lock.get(EXPORT_COMPLETE, {}))
    if out is None:
        raise PipelineError(
            f"{where} names no complete model, for {EXPORT_COMPLETE} had not run by then; give a "
            "revision in which it had"
        )
    return commit, *out


def _lock_of(what: str, commit: str) -> str:
    return f"{what}: {resolve_dvc.LOCK} of commit {commit[:12]}"


def by_revision(what: str, root: Path) -> Resolved | None:
    """Returns the complete model that the dvc.lock of a git revision or a DVC experiment names."""
    if (named := locked(what, root)) is None:
        return None
    commit, path, md5 = named
    listed = resolve_dvc.listing(root, md5) or {}
    node = statement(listed[provenance.NAME]) if provenance.NAME in listed else None
    if node is None and (root / path).is_dir() and resolve_dvc.md5_of(root / path) == md5:
        node = statement(root / path / provenance.NAME)
    if node is None:
        fetched = "fetch it with `dvc fetch --all-commits`, or an experiment with `dvc exp pull`"
        if resolve_dvc.remote(root) is None:
            fetched = "and no DVC remote is set: made elsewhere, or removed; its name alone is here"
        raise PipelineError(
            f"{_lock_of(what, commit)} names the complete model with md5 {md5}, which is not in "
            f"DVC's cache; {fetched}"
        )
    return gather(node, root, revision=commit)


def _experiment(name: str, root: Path) -> str | None:
    """Returns the commit of a DVC experiment. Raises PipelineError when several have this name."""
    commits = {commit: base for n, commit, base in git.experiments(root) if n == name}
    if len(commits) > 1:
        listed = ", ".join(f"{c[:12]} (begun from {base[:12]})" for c, base in commits.items())
        raise PipelineError(f"{name}: the DVC experiments {listed} have this name; give a commit")
    return next(iter(commits), None)


def by_sha256(what: str, root: Path) -> Resolved | None:
    """Returns what has this sha256: a statement, else a file in one, else what one was made
    from."""
    if not SHA256.fullmatch(what):
        return None
    for directory in statements.directories(what, root):
        nodes = {node.digest: node for node in statements.carried(directory)}
        if fitting := [node for node in nodes.values() if node.digest.startswith(what)]:
            return gather(fitting[0], root, known=nodes)
    nodes = statements.at_hand(root)
    for digests in (_own, _of_files, _of_deps):
        fitting = [n for n in nodes.values() if any(d.startswith(what) for d in digests(n))]
        if fitting:
            node = _last(fitting, nodes, what)
            names = [name for name, digest in node.subject.items() if digest.startswith(what)]
            file = names[0] if names and digests is _of_files else None
            return gather(node, root, file=file, known=nodes)
    return None


def _own(node: Node) -> Iterable[str]:
    return [node.digest]


def _of_files(node: Node) -> Iterable[str]:
    return node.subject.values()


def _of_deps(node: Node) -> Iterable[str]:
    return [*node.deps.values(), node.patch or ""]


def _last(fitting: list[Node], nodes: Mapping[str, Node], what: str) -> Node:
    """Returns the node that all the others went into, for files are handed on from stage to stage.
    Raises PipelineError when there is none."""
    digests = {node.digest for node in fitting}
    for node in fitting:
        if digests <= {each.digest for each in lineage.walk(node, nodes)}:
            return node
    listed = [f"{node.digest[:16]} ({node.stage})" for node in fitting[:LISTED]]
    more = f" and {len(fitting) - LISTED} more" if len(fitting) > LISTED else ""
    raise PipelineError(f"{what}: could be {', '.join(listed)}{more}; give one of these")


FORMS: tuple[Callable[[str, Path], Resolved | None], ...] = (
    *(by_path, by_uri, by_run, by_revision, by_sha256),
)
"""In the order in which they are tried."""
