"""What dvc.lock and MLflow recorded, compared with the statements."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import ParamsError, PipelineError
from pipeline.project import PARENTS
from pipeline.provenance.lineage import Node
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve.logged import KEY, Run
from pipeline.resolve.mlflow_tables import Local
from pipeline.trace.claims import SHORT, Case, Check, in_lock, listed
from pipeline.trace.files import differing


def dvc(node: Node, case: Case) -> Iterator[Check]:
    """Checks dvc.lock in the stages' own line; of a parent, the .dvc file beside it."""
    place = case.resolved.places.get(node.digest)
    if place and place.resolve().parent == (case.root / PARENTS).resolve():
        yield from _pointer(place)
    elif node.digest in case.direct:
        yield from _lock(node, case)


def _pointer(place: Path) -> Iterator[Check]:
    pointer = place.with_name(f"{place.name}.dvc")
    if not pointer.is_file():
        text = f"{PARENTS}/{pointer.name} is not there, so DVC does not track it"
        yield Check(
            claim="dvc", verdict="missing", text=text, todo=f"`dvc add {PARENTS}/{place.name}`"
        )
        return
    try:
        _, recorded = resolve_dvc.tracked(pointer.read_bytes(), pointer.name)[0]
    except (ParamsError, IndexError):
        text = f"{PARENTS}/{pointer.name} cannot be read"
        yield Check(claim="dvc", verdict="missing", text=text, todo="`git checkout` it")
        return
    same = resolve_dvc.md5_of(place) == recorded
    text = f"{PARENTS}/{pointer.name} names {'the bytes at hand' if same else 'other bytes'}"
    yield Check(claim="dvc", verdict="verified" if same else "contradicted", text=text)


def _lock(node: Node, case: Case) -> Iterator[Check]:
    name = case.lock_name
    if case.lock_fault:
        yield Check(claim="dvc.lock", verdict="missing", text=case.lock_fault)
        return
    stage = case.lock.get(node.stage)
    out = resolve_dvc.output(stage) if stage else None
    if stage is None or out is None:
        if not case.lock and node is not case.resolved.node:
            return
        text = f"{name} has nothing of stage {node.stage}" if case.lock else f"no {name}"
        todo = "run trace in the repository that it was made in"
        yield Check(claim="dvc.lock", verdict="missing", text=text, todo=todo)
        return
    path, md5 = out
    mine = in_lock(node, case)
    if not mine:
        text = f"{name} is about another run of stage {node.stage}"
        if mine is None:
            text = f"{name} names {path} by md5 {md5[:SHORT]}…, which is not at hand to compare"
        todo = "check out the revision whose dvc.lock names it, if there is one"
        yield Check(claim="dvc.lock", verdict="missing", text=text, todo=todo)
        return
    yield from _agree(node, stage, path, md5, case)


def _agree(
    node: Node, stage: Mapping[str, Any], path: str, md5: str, case: Case
) -> Iterator[Check]:
    sections = {
        section: value
        for file in stage.get("params", {}).values()
        for section, value in file.items()
        if section in node.params
    }
    recorded = {section: node.params[section] for section in sections}
    if keys := [k for s in sections for k in differing(recorded[s], sections[s], s)]:
        text = f"{case.lock_name} names it, but with other params: {listed(keys)}"
        yield Check(claim="dvc.lock", verdict="contradicted", text=text)
    place = case.resolved.places.get(node.digest)
    # Where a file is missing, the md5 of the others says nothing.
    own = (
        place is not None
        and place.resolve() == (case.root / path).resolve()
        and all((place / name).is_file() for name in node.subject)
    )
    if own and place and resolve_dvc.md5_of(place) != md5:
        text = f"{case.lock_name} names other bytes of {path}: md5 {md5} there"
        todo = f"`dvc checkout --force {path}` puts back what DVC's cache has"
        yield Check(claim="dvc.lock", verdict="contradicted", text=text, todo=todo)
    elif not keys:
        text = f"{case.lock_name} names it{', its bytes' if own else ''} and the same params"
        yield Check(claim="dvc.lock", verdict="verified", text=text)


def mlflow(node: Node, case: Case) -> Iterator[Check]:
    """Runs that name this complete model, and whether what they logged is it."""
    try:
        store = resolve_mlflow.store(case.root)
        if not isinstance(store, Local):
            yield _not_asked(store.shown, node)
            return
        runs = store.runs(node.digest)
    except PipelineError as fault:
        yield Check(claim="MLflow", verdict="missing", text=str(fault))
        return
    for run in runs:
        yield _run(run, node, case)
    named_run = case.resolved.run if node is case.resolved.node else None
    if named_run and named_run not in {run.id for run in runs}:
        named = logged.digest if (logged := store.run(named_run)) else None
        text = f"run {named_run} names the complete model {named}, but logged this one"
        yield Check(claim="MLflow", verdict="contradicted", text=text)
    elif not runs:
        there = "names it" if store.database.is_file() else "could name it: there is no such file"
        text = f"no run in {store.database.name} {there}"
        todo = "`dvc repro log-to-mlflow`, if dvc.lock names it"
        yield Check(claim="MLflow", verdict="missing", text=text, todo=todo)


def _not_asked(shown: str, node: Node) -> Check:
    return Check(
        claim="MLflow",
        verdict="missing",
        text=f"runs are at {shown}, which is not asked",
        todo=f'search runs there: tags.`{KEY}` = "{node.digest}"',
    )


def _run(run: Run, node: Node, case: Case) -> Check:
    title = f"run {run.name} ({run.id}), {run.status}{', deleted' if run.deleted else ''}"
    title += "".join(f"; registered as {name} version {v}" for name, v in run.versions)
    statements = sorted((run.place / "provenance").glob("*.json")) if run.place else []
    other = [p.name for p in statements if provenance.digest(p) not in case.resolved.known]
    models = {model: place for model, place in run.models.items() if place}
    wrong = [m for m, p in models.items() if _digest(p) not in (None, node.digest)]
    if wrong or other:
        what = f"logged model {listed(wrong)}" if wrong else f"provenance/{listed(other)}"
        text = f"{title}; its {what} is of another complete model"
        return Check(claim="MLflow", verdict="contradicted", text=text)
    if not any(_digest(place) for place in models.values()):
        text = f"{title}; its logged model's files are not at hand"
        return Check(claim="MLflow", verdict="missing", text=text, todo="look at mlartifacts/")
    text = f"{title}; logged model {listed(models)} has this statement"
    return Check(claim="MLflow", verdict="verified", text=text)


def _digest(place: Path) -> str | None:
    path = place / provenance.NAME
    return provenance.digest(path) if path.is_file() else None
