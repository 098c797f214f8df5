"""What a statement says of its code, compared with the commit, the patch and the work tree."""

from collections.abc import Iterator
from pathlib import Path

from pipeline import provenance
from pipeline.provenance import git
from pipeline.provenance.lineage import Node, dep_kind
from pipeline.trace.claims import SHORT, Case, Check, listed
from pipeline.trace.code import Source, find_source
from pipeline.untrusted import limits


def deps_of_kind(node: Node, kind: str) -> dict[str, str]:
    """Returns path -> digest of the deps that are of this kind."""
    return {path: digest for path, digest in node.deps.items() if dep_kind(path) == kind}


def deps_of_code(node: Node) -> dict[str, str]:
    return deps_of_kind(node, "code")


def deps_of_data(node: Node) -> dict[str, str]:
    return deps_of_kind(node, "data")


def sources(case: Case) -> dict[tuple[str | None, str | None], Source]:
    """Returns the code by commit and patch, which artifacts of one run have in common."""
    deps: dict[tuple[str | None, str | None], set[str]] = {}
    for node in case.resolved.known.values():
        named = {*deps_of_code(node), *deps_of_data(node)}
        deps.setdefault((node.commit, node.patch), set()).update(named)
    patches = _patches(case)
    return {
        (commit, patch): find_source(
            case.root, commit, patch, patches.get(patch or ""), sorted(named)
        )
        for (commit, patch), named in deps.items()
    }


def _patches(case: Case) -> dict[str, Path]:
    """Returns each patch at hand by its sha256; artifacts made together have the same."""
    patches: dict[str, Path] = {}
    for node in case.resolved.known.values():
        for name, path in (case.files(node) or {}).items():
            if name.endswith(".patch") and path.is_file() and path.stat().st_size <= limits.PATCH:
                patches.setdefault(provenance.digest(path), path)
    return patches


def code(source: Source, case: Case) -> Iterator[Check]:
    """Checks the commit and the patch on top of it."""
    if source.commit is None:
        yield Check(
            claim="code",
            verdict="missing",
            text="made outside git, so no commit names its code; only the sha256 of files do",
        )
        return
    short = source.commit[:SHORT]
    if not source.exists:
        text = f"commit {source.commit} is not in {_repository(case)}"
        yield Check(claim="code", verdict="missing", text=text, todo=_fetch(source.commit, case))
    else:
        text = f'commit {short} "{source.title}"'
        text += f", on {source.ref}" if source.ref else ", on no branch or tag: git may delete it"
        text += "" if source.patch else "; nothing had been changed since"
        todo = None if source.ref else f"keep it: `git branch keep-{short} {source.commit}`"
        yield Check(claim="code", verdict="verified", text=text, todo=todo)
    if source.patch:
        yield _patch(source)


def _repository(case: Case) -> str:
    if not git.is_repository(case.root):
        return f"{case.root}, which is no git repository"
    return "this repository"


def _fetch(commit: str, case: Case) -> str:
    if not git.is_repository(case.root):
        return "run trace in a clone of the repository that it was made in"
    if git.line(case.root, "rev-parse", "--is-shallow-repository") == "true":
        return "this clone is shallow: `git fetch --unshallow`"
    remotes = (git.line(case.root, "remote") or "").split()
    if remotes:
        remote = "origin" if "origin" in remotes else remotes[0]
        return f"`git fetch {remote} {commit}`"
    return f"`git fetch ADDRESS {commit}`, with the address of the repository it was made in"


def _patch(source: Source) -> Check:
    """Checks the work tree's changes, which lie as source.patch beside the statement."""
    short = (source.patch or "")[:SHORT]
    if source.patch_file is None:
        return Check(
            claim="patch",
            verdict="missing",
            text=f"the work tree had been changed since; {provenance.PATCH} with these changes "
            f"(sha256 {source.patch}) is not at hand",
            todo="it lies in the directory of each artifact of that run: `dvc pull`",
        )
    text = f"the work tree had been changed since: {provenance.PATCH} ({short})"
    if source.fits is None:
        return Check(
            claim="patch",
            verdict="verified",
            text=f"{text} is at hand; whether it fits is not known",
        )
    if source.fits:
        return Check(claim="patch", verdict="verified", text=f"{text} is at hand and fits")
    text += f" cannot be applied to commit {(source.commit or '')[:SHORT]}"
    return Check(claim="patch", verdict="contradicted", text=text)


def code_files(node: Node, source: Source, case: Case) -> Iterator[Check]:
    """Checks the files of code at the commit with its patch; where that is not at hand, in the work
    tree."""
    recorded = deps_of_code(node)
    if not recorded:
        return
    right = {path for path, digest in recorded.items() if source.digest(path) == digest}
    rest = {path: digest for path, digest in recorded.items() if path not in right}
    if right:
        at = "with the patch" if source.fits else "at that commit"
        text = (
            f"{len(right)} of {len(recorded)} ({listed(sorted(right))}) have the recorded digest "
        )
        text += at
        yield Check(claim="code files", verdict="verified", text=text)
    if rest and source.whole:
        for path, digest in rest.items():
            yield _other_code(node, path, digest, source)
        return
    here = {path for path, digest in rest.items() if case.digest(case.root / path) == digest}
    if here:
        text = (
            f"{len(here)} of {len(recorded)} ({listed(sorted(here))}) have the recorded digest in "
        )
        text += "the work tree"
        yield Check(claim="code files", verdict="verified", text=text)
    if lacking := sorted(set(rest) - here):
        text = f"{listed(lacking)}: not at hand as they were"
        yield Check(claim="code files", verdict="missing", text=text)


def _other_code(node: Node, path: str, digest: str, source: Source) -> Check:
    there = source.digest(path)
    at = f"commit {(source.commit or '')[:SHORT]}{' with the patch' if source.patch else ''}"
    present = f"is {there[:SHORT]} at {at}" if there else f"does not exist at {at}"
    return Check(
        claim="code files",
        verdict="contradicted",
        text=f"{path} {present}, recorded is {digest[:SHORT]}: the code that ran is not what git "
        "has" + _which(node, path, source),
    )


def _which(node: Node, path: str, source: Source) -> str:
    """Returns the files of a directory that differ, where its statement lists them."""
    recorded = node.files(path)
    if not recorded:
        return ""
    lead = f"{path}/"
    there = {n.removeprefix(lead): d for n, d in source.files.items() if n.startswith(lead)}
    names = {n for n in {*recorded, *there} if recorded.get(n) != there.get(n)}
    return f" ({listed(sorted(filter(provenance.counts, names)))})"
