"""What a statement says of its code, its raw data and its environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline import provenance
from pipeline.provenance import git
from pipeline.provenance.lineage import Node, dep_kind
from pipeline.trace.claims import SHORT, Case, Check, count, listed
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
    """The code by commit and patch, which artifacts of one run have in common."""
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
    """Each patch at hand by its sha256; artifacts made together have the same."""
    patches: dict[str, Path] = {}
    for node in case.resolved.known.values():
        for name, path in (case.files(node) or {}).items():
            if name.endswith(".patch") and path.is_file() and path.stat().st_size <= limits.PATCH:
                patches.setdefault(provenance.digest(path), path)
    return patches


def code(source: Source, case: Case) -> Iterator[Check]:
    """The commit and the patch on top of it."""
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
    """The work tree's changes, which lie as source.patch beside the statement."""
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
    """The code is compared at the commit with its patch; where that is not at hand, in the work
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
    """The files of a directory that differ, where its statement lists them."""
    recorded = node.files(path)
    if not recorded:
        return ""
    lead = f"{path}/"
    there = {n.removeprefix(lead): d for n, d in source.files.items() if n.startswith(lead)}
    names = {n for n in {*recorded, *there} if recorded.get(n) != there.get(n)}
    return f" ({listed(sorted(filter(provenance.counts, names)))})"


def data(node: Node, source: Source, case: Case) -> Iterator[Check]:
    """Raw data by digest: in the work tree, else at the commit and in DVC's cache.

    Other data in the work tree is no contradiction: it is not what the artifact was made from.
    """
    for path, digest in deps_of_data(node).items():
        short = f"{path}/" if (case.root / path).is_dir() else path
        short += f" ({digest[:SHORT]})"
        if case.digest(case.root / path) == digest:
            text = f"{short} in the work tree has exactly the recorded content"
            yield Check(claim="raw data", verdict="verified", text=text)
        elif source.digest(path) == digest:
            text = (
                f"{short} is at commit {(source.commit or '')[:SHORT]}; the work tree has another"
            )
            todo = f"`git checkout {(source.commit or '')[:SHORT]} -- {path}`, then `dvc checkout`"
            yield Check(claim="raw data", verdict="verified", text=text, todo=todo)
        else:
            text = f"{path} with the digest {digest} is not at hand"
            text += "; the work tree has other data" if (case.root / path).exists() else ""
            todo = "`dvc pull` what git has as .dvc, or get the data from where it came"
            if source.exists:
                todo = f"`git checkout {source.commit} -- {path}`, then `dvc pull`"
            yield Check(claim="raw data", verdict="missing", text=text, todo=todo)


def elsewhere(node: Node, case: Case) -> Iterator[Check]:
    """The checkpoint that training started from: a root, of whose making nothing is recorded."""
    origin = node.elsewhere
    for path, digest in deps_of_kind(node, "checkpoint").items():
        same = case.digest(case.root / path) == digest
        if path.endswith(".json"):
            if not same:
                text = f"{path}, what was known of the checkpoint, is not at hand as it was"
                todo = f"`git checkout {path}`, if git has it"
                yield Check(claim="checkpoint", verdict="missing", text=text, todo=todo)
            continue
        known = origin.get("known", {})
        text = f"{path}, {known.get('name')} ({known.get('kind')}), trained elsewhere: its "
        text += f"{', '.join(map(str, origin.get('unknown', ())))} are not known; "
        if same:
            text += "the recorded bytes are at hand"
            yield Check(claim="checkpoint", verdict="verified", text=text)
        else:
            text += "it is not at hand as it was"
            todo = f"`dvc pull {path}.dvc`"
            yield Check(claim="checkpoint", verdict="missing", text=text, todo=todo)


def environment(node: Node, here: Mapping[str, object]) -> Check:
    """Compared with the interpreter that runs the trace."""
    recorded = node.environment
    text = f"Python {recorded['python']}, {recorded['platform']}, "
    text += count(len(recorded["packages"]), "package")
    differing = differences(recorded, here)
    if not differing:
        return Check(claim="environment", verdict="verified", text=f"{text}; the same here")
    return Check(
        claim="environment",
        verdict="missing",
        text=f"{text}; here {len(differing)} differ: {listed(differing)}",
        todo="`python -m pipeline.reproduce WHAT --environment recorded` makes one as it was",
    )


def differences(recorded: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """ "torch 2.13.0 (here 2.12.0)", for Python, the platform and every package."""
    before, now = _versions(recorded), _versions(here)
    return [
        f"{name} {before.get(name, 'none')} (here {now.get(name, 'none')})"
        for name in [*before, *(name for name in now if name not in before)]
        if before.get(name) != now.get(name)
    ]


def _versions(environment: Mapping[str, object]) -> dict[str, str]:
    """Python, the platform and every package by name."""
    packages = environment["packages"]
    assert isinstance(packages, Mapping)
    named = {"python": environment["python"], "platform": environment["platform"]}
    return {name: str(version) for name, version in (named | dict(packages)).items()}
