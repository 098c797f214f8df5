"""What a statement says of its own bytes, its files and the statements it was made from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.project import PARENTS
from pipeline.provenance import lineage
from pipeline.provenance.lineage import OUTPUTS, Node
from pipeline.resolve.statements import statement
from pipeline.trace.claims import SHORT, Case, Check, artifacts, count, in_lock, kind, listed, named


def seal(node: Node, case: Case) -> Iterator[Check]:
    if node.intact:
        text = "its bytes fit its seal"
        yield Check(claim="statement", verdict="verified", text=text)
        return
    where = case.resolved.places.get(node.digest, Path(named(node))) / provenance.NAME
    yield Check(
        claim="statement",
        verdict="contradicted",
        text=f"{where} was changed after it was written: its seal does not fit, so nothing that it "
        "says can be relied on",
        todo="get the directory again from where it came",
    )


def files(node: Node, case: Case) -> Iterator[Check]:
    """Checks each file by its sha256, in the directory at hand or else in DVC's cache."""
    at_hand = case.files(node)
    yield from damaged(node, case)
    if at_hand is None:
        yield _nowhere(node, case)
        return
    at_hand = {n: p for n, p in at_hand.items() if n != provenance.NAME and "__pycache__" not in n}
    subject = node.subject
    present = {name: path for name, path in at_hand.items() if name in subject and path.is_file()}
    sizes = sum(path.stat().st_size for path in present.values())
    wrong = {n: d for n, p in present.items() if (d := provenance.digest(p)) != subject[n]}
    right = len(present) - len(wrong)
    cached = node.digest not in case.resolved.places
    if right:
        text = f"{right} of {count(len(subject), 'file')} ({size(sizes)}) have the recorded sha256"
        text += ", in DVC's cache" if cached else ""
        yield Check(claim="files", verdict="verified", text=text)
    for name in sorted(wrong):
        text = f"{name} was changed: its sha256 is {wrong[name]}, recorded is {subject[name]}"
        todo = _again(node, case)
        if cached:
            text += f"; it is in DVC's cache as {at_hand[name]}"
            todo = "remove that object, then `dvc fetch` it again"
        yield Check(claim="files", verdict="contradicted", text=text, todo=todo)
    if extra := sorted(set(at_hand) - set(subject)):
        text = f"{listed(extra)}: not in the statement; added after it was written"
        todo = "remove what does not belong there"
        yield Check(claim="files", verdict="contradicted", text=text, todo=todo)
    if lacking := sorted(set(subject) - set(present)):
        text = f"{count(len(lacking), 'file')} not at hand: {listed(lacking)}"
        yield Check(claim="files", verdict="missing", text=text, todo=_again(node, case))


def size(number: int) -> str:
    """Returns bytes as a person reads them."""
    value, unit = float(number), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"


def _out(node: Node, case: Case) -> str | None:
    """Returns the path of the stage's output in dvc.lock, if the node is in its line of stages."""
    outs = case.lock.get(node.stage, {}).get("outs", []) if node.digest in case.direct else []
    return next((str(out["path"]) for out in outs), None)


def path_of(node: Node, case: Case) -> str | None:
    """Returns what the artifacts made from it call it, for instance artifacts/train."""
    for other in case.resolved.known.values():
        for path, digest in other.deps.items():
            if digest == node.digest:
                return path
    return _out(node, case)


def _in_work_tree(node: Node, case: Case) -> Node | bool | None:
    """Returns the artifact that lies where this one was made; False when its statement is
    damaged."""
    path = path_of(node, case)
    other = case.root / path / provenance.NAME if path else None
    if other is None or not other.is_file():
        return None
    present = statement(other)
    return present if present and present.intact else False


def damaged(node: Node, case: Case) -> Iterator[Check]:
    """Checks the statement in the work tree. A directory that holds another run meanwhile
    contradicts nothing; one whose statement was changed does, in a work tree that holds this run
    otherwise."""
    if node.digest in case.resolved.places or _in_work_tree(node, case) is not False:
        return
    folder = (case.root / OUTPUTS).resolve()
    mine = (case.resolved.places.get(digest) for digest in case.direct)
    if in_lock(node, case) or any(place and place.resolve().parent == folder for place in mine):
        text = f"{path_of(node, case)}/{provenance.NAME} was changed after it was written: its "
        text += "seal does not fit, so its files cannot be told to be these"
        todo = f"`dvc checkout --force {path_of(node, case)}` puts back what DVC's cache has"
        yield Check(claim="files", verdict="contradicted", text=text, todo=todo)


def _nowhere(node: Node, case: Case) -> Check:
    text = f"none of its {count(len(node.subject), 'file')} is at hand"
    present = _in_work_tree(node, case)
    if isinstance(present, Node) and present.digest != node.digest:
        text += f"; {path_of(node, case)} holds another run ({present.digest[:SHORT]})"
    return Check(claim="files", verdict="missing", text=text, todo=_again(node, case))


def _again(node: Node, case: Case) -> str:
    """Returns how to get files that are lacking or that were changed."""
    path, place = path_of(node, case), case.resolved.places.get(node.digest)
    if place and not (path and place.resolve() == (case.root / path).resolve()):
        return "get the directory again from where it came"
    if path and path.startswith(f"{PARENTS}/"):
        return f"`dvc pull {path}.dvc`"
    named = in_lock(node, case)
    if path is None or (named is False and node.digest not in case.resolved.cached):
        return "run trace where it was made, or `dvc pull` at the revision whose dvc.lock names it"
    command = (
        f"`dvc checkout {path}`" if node.digest in case.resolved.cached else f"`dvc pull {path}`"
    )
    if place:
        command = f"`dvc checkout --force {path}` puts back what DVC's cache has"
    if case.resolved.revision:
        return f"`git checkout {case.resolved.revision[:SHORT]} -- dvc.lock`, then {command}"
    return command if named is not False else f"{command} at the revision whose dvc.lock names it"


def carried(node: Node, case: Case) -> Iterator[Check]:
    """Checks what an artifact carries: every statement in lineage/ must be named by the one further
    down, every patch by its own."""
    place = case.resolved.places.get(node.digest)
    if place is None:
        return
    expected = {*case.resolved.known, *(each.patch for each in case.resolved.known.values())}
    for name in provenance.files(place / lineage.FOLDER):
        digest = provenance.digest(place / lineage.FOLDER / name)
        if digest not in expected:
            kind = "patch" if name.endswith(".patch") else "statement"
            yield Check(
                claim="lineage",
                verdict="contradicted",
                text=f"{lineage.FOLDER}/{name} is a {kind} that nothing here was made from "
                f"(sha256 {digest})",
                todo="get the directory again from where it came",
            )


def links(node: Node, case: Case) -> Iterator[Check]:
    """Checks the chain: the digest by which it names an artifact is that of a statement at hand."""
    known = case.resolved.known
    here = [known[digest] for digest in artifacts(node).values() if digest in known]
    if here:
        plural = "statements with these digests are" if here[1:] else "the statement so named is"
        text = f"{', '.join(map(named, here))}: {plural} at hand"
        yield Check(claim="made from", verdict="verified", text=text)
    for path, digest in artifacts(node).items():
        if digest not in known:
            yield Check(
                claim="made from",
                verdict="missing",
                text=f"{path} with the digest {digest}: its statement is not at hand",
                todo="run trace in the repository that it came from, after `dvc pull`",
            )
    parent = node.params.get("train", {}).get("parent")
    deps = {p for p in node.deps if p.startswith(f"{PARENTS}/")}
    expected = {f"{PARENTS}/{parent}"} if parent else set()
    wrong = [p for p in deps if node.deps[p] != Path(p).name]
    if deps != expected or wrong:
        text = (
            f"train.parent is {parent}, but it was made from {listed(sorted(deps)) or 'no parent'}"
        )
        yield Check(claim="made from", verdict="contradicted", text=text)


def params(node: Node, case: Case) -> Iterator[Check]:
    """Checks the parameters: a section that a stage upstream ran with, too, must be the same
    there."""
    for _, other in lineage.upstream(node, case.resolved.known):
        if other.digest not in case.direct and node.digest in case.direct:
            continue  # a parent's training is its own
        for section in set(node.params) & set(other.params):
            if node.params[section] == other.params[section] or _is_parent(other, node):
                continue
            keys = differing(node.params[section], other.params[section], section)
            text = f"{listed(keys)}: not what the {kind(other)} that it was made from ran with"
            yield Check(claim="params", verdict="contradicted", text=text)


def _is_parent(other: Node, node: Node) -> bool:
    return node.deps.get(f"{PARENTS}/{other.digest}") == other.digest


def differing(mine: Any, other: Any, prefix: str) -> list[str]:
    """Returns the dotted names of the leaves that differ, with both values."""
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        names = [*mine, *(name for name in other if name not in mine)]
        return [
            each
            for name in names
            for each in differing(mine.get(name), other.get(name), f"{prefix}.{name}")
        ]
    return [] if mine == other else [f"{prefix} {mine!r} (there {other!r})"]
