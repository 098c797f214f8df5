"""From whatever somebody has in hand to the artifact it is, and to all that it was made from.

No framework, no MLflow and no DVC is loaded, and nothing is written.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.provenance.lineage import Node
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve import git as resolve_git
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve import statements as statements
from pipeline.resolve.mlflow import Local, Logged
from pipeline.resolve.statements import STAGE as STAGE
from pipeline.resolve.statements import statement
from pipeline.tracking.store import KEY

FORMS = (
    "a complete model's directory or any file in it, another artifact's directory, an MLflow run "
    "id, models:/<name>/<version>, models:/<id>, runs:/<id>/..., a sha256 (eight digits are "
    "enough), a git revision, or a DVC experiment's name"
)
SHA256 = re.compile(r"[0-9a-f]{8,64}")
RUN = re.compile(r"[0-9a-f]{32}")
LISTED = 5
"""Candidates that an error names."""


@dataclass(frozen=True, kw_only=True)
class Found:
    node: Node
    """The artifact asked for: a complete model's, checkpoint's, train's or data's statement."""
    known: Mapping[str, Node]
    """That one and everything upstream whose statement could be found, by digest."""
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


def resolve(what: str, root: Path) -> Found:
    """`root` is the repository. Raises PipelineError: what was tried, and what to do."""
    for form in (_path, _uri, _run, _revision, _sha256):
        if found := form(what, root):
            return found
    raise PipelineError(f"{what or repr(what)}: {_tried(what, root)}; give {FORMS}")


def _tried(what: str, root: Path) -> str:
    tried = ["no such file or directory"]
    if what and Path(what).is_dir():
        tried = [f"a directory without {provenance.NAME}, so no artifact"]
    elif what and Path(what).exists():
        tried = ["a file in no artifact, and no statement at hand has its sha256"]
    if SHA256.fullmatch(what):
        tried.append("no sha256 that a statement at hand has")
    elif re.fullmatch(r"[0-9a-f]+", what):
        tried.append("fewer digits of a sha256 than eight")
    if RUN.fullmatch(what):
        tried.append(f"no run in {resolve_mlflow.store(root).shown}")
    git = resolve_git.is_repository(root)
    tried.append("no git revision, no DVC experiment" if git else f"no git repository in {root}")
    return ", ".join(tried)


def gather(
    node: Node,
    root: Path,
    *,
    place: Path | None = None,
    file: str | None = None,
    run: str | None = None,
    revision: str | None = None,
    known: Mapping[str, Node] | None = None,
) -> Found:
    """What `node` was made from, and where its parts lie; `place` is its own directory."""
    carried = {each.digest: each for each in statements.of(place)} if place else {}
    chain = statements.whole(node, {**(known or {}), **carried, node.digest: node}, root)
    places = statements.places(chain, root) | ({node.digest: place} if place else {})
    if run is None and node.stage == STAGE:
        run = _run_of(node.digest, root)
    return Found(
        node=node,
        known=chain,
        places=places,
        file=file,
        run=run,
        cached=statements.objects(set(chain) - set(places), root),
        revision=revision,
    )


def _run_of(digest: str, root: Path) -> str | None:
    """A server is not asked, and a store that cannot be read knows none: the rest is told still."""
    with contextlib.suppress(PipelineError):
        store = resolve_mlflow.store(root)
        if isinstance(store, Local):
            return next((run.id for run in store.runs(digest)), None)
    return None


def _path(what: str, root: Path) -> Found | None:
    """The nearest directory with a statement; a file that lies in none is known by its bytes."""
    given = next((p for p in (Path(what), root / what) if what and p.exists()), None)
    if given is None:
        return None
    # DVC may make files links into its cache, so only their directories are resolved.
    absolute = given.resolve() if given.is_dir() else given.parent.resolve() / given.name
    for directory in (absolute, *absolute.parents):
        if (directory / provenance.NAME).is_file():
            break
    else:
        if given.is_dir():
            return None
        node = statement(given)
        return gather(node, root) if node else _sha256(provenance.digest(given), root)
    if (node := statement(directory / provenance.NAME)) is None:
        raise PipelineError(
            f"{directory / provenance.NAME}: changed: no statement can be read from it; get the "
            "directory again from where it came"
        )
    file = absolute.relative_to(directory).as_posix() if given.is_file() else None
    return gather(node, root, place=directory, file=file)


def _uri(what: str, root: Path) -> Found | None:
    match = re.fullmatch(r"(models|runs):/+([^/@]+)(?:[/@](.*))?", what)
    if match is None:
        return None
    store = resolve_mlflow.store(root)
    kind, name, rest = match[1], match[2], (match[3] or "").strip("/")
    if kind == "runs":
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
        return _uri(f"{source.rstrip('/')}/{rest}".rstrip("/"), root)
    place = store.path(source) if isinstance(store, Local) else None
    logged = Logged(run=run, place=place) if place else store.run(run or "")
    return _logged(logged, what, store.shown, root, rest)


def _run(what: str, root: Path) -> Found | None:
    if not RUN.fullmatch(what):
        return None
    store = resolve_mlflow.store(root)
    logged = store.run(what)
    return _logged(logged, what, store.shown, root, "") if logged else None


def _logged(logged: Logged | None, what: str, shown: str, root: Path, rest: str) -> Found:
    """`rest` is a path below the run or the logged model: a file, or a stage's statement."""
    if logged is None:
        raise PipelineError(f"{what}: not in {shown}; look at tracking.uri in params.yaml")
    known = {n.digest: n for content in logged.statements if (n := statements.parse(content))}
    node = statement(logged.place / provenance.NAME) if logged.place else None
    node = node or next(iter(known.values()), None)
    if node is None and logged.digest and (found := _sha256(logged.digest, root)):
        node = found.node
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


def _revision(what: str, root: Path) -> Found | None:
    """The complete model that the revision's dvc.lock names."""
    commit = resolve_git.commit(root, what) or _experiment(what, root)
    if commit is None:
        return None
    where = f"{what}: {resolve_dvc.LOCK} of commit {commit[:12]}"
    lock = resolve_dvc.stages(resolve_git.file_at(root, commit, resolve_dvc.LOCK), where)
    out = resolve_dvc.output(lock.get(STAGE, {}))
    if out is None:
        raise PipelineError(
            f"{where} names no complete model, for {STAGE} had not run by then; give a revision "
            "in which it had"
        )
    path, md5 = out
    held = resolve_dvc.listing(root, md5) or {}
    node = statement(held[provenance.NAME]) if provenance.NAME in held else None
    if node is None and (root / path).is_dir() and resolve_dvc.md5_of(root / path) == md5:
        node = statement(root / path / provenance.NAME)
    if node is None:
        raise PipelineError(
            f"{where} names the complete model with md5 {md5}, which is not in DVC's cache; fetch "
            "it with `dvc fetch --all-commits`, or an experiment with `dvc exp pull`"
        )
    return gather(node, root, revision=commit)


def _experiment(name: str, root: Path) -> str | None:
    """The commit of a DVC experiment. Raises PipelineError when several have this name."""
    commits = {commit: base for n, commit, base in resolve_git.experiments(root) if n == name}
    if len(commits) > 1:
        listed = ", ".join(f"{c[:12]} (begun from {base[:12]})" for c, base in commits.items())
        raise PipelineError(f"{name}: the DVC experiments {listed} have this name; give a commit")
    return next(iter(commits), None)


def _sha256(what: str, root: Path) -> Found | None:
    """Of a statement, else of a file in one, else of something that one was made from."""
    if not SHA256.fullmatch(what):
        return None
    for directory in statements.named(what, root):
        nodes = {node.digest: node for node in statements.of(directory)}
        if fitting := [node for node in nodes.values() if node.digest.startswith(what)]:
            return gather(fitting[0], root, known=nodes)
    nodes = statements.every(root)
    kinds: tuple[Callable[[Node], Iterable[str]], ...] = (
        lambda node: [node.digest],
        lambda node: node.subject.values(),
        lambda node: [*node.deps.values(), node.patch or ""],
    )
    for kind in kinds:
        fitting = [n for n in nodes.values() if any(d.startswith(what) for d in kind(n))]
        if fitting:
            node = _last(fitting, nodes, what)
            names = [name for name, digest in node.subject.items() if digest.startswith(what)]
            file = names[0] if names and kind is kinds[1] else None
            return gather(node, root, file=file, known=nodes)
    return None


def _last(fitting: list[Node], nodes: Mapping[str, Node], what: str) -> Node:
    """The one that all the others went into, for files are handed on from stage to stage.

    Raises PipelineError when there is none.
    """
    digests = {node.digest for node in fitting}
    for node in fitting:
        if digests <= set(statements.chain(node, nodes)):
            return node
    listed = [f"{node.digest[:16]} ({node.stage})" for node in fitting[:LISTED]]
    more = f" and {len(fitting) - LISTED} more" if len(fitting) > LISTED else ""
    raise PipelineError(f"{what}: could be {', '.join(listed)}{more}; give one of these")
