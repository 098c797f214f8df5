"""The code and the raw data that a statement names, compared with git's objects and, where those
are missing, with the work tree. Nothing is written to the repository."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline import provenance
from pipeline.errors import ParamsError
from pipeline.provenance import git
from pipeline.provenance.patched_tree import PatchedTree, tree_builder
from pipeline.resolve import dvc as resolve_dvc


@dataclass(frozen=True, kw_only=True)
class Source:
    """A commit with a patch on top, as far as it is at hand."""

    commit: str | None
    patch: str | None
    """sha256 of source.patch; None when the tree was clean."""
    exists: bool = False
    title: str | None = None
    """First line of the commit's message."""
    ref: str | None = None
    """A branch or tag that it can be reached from; None when there is none."""
    patch_file: Path | None = None
    """With that sha256."""
    fits: bool | None = None
    """Returns whether the patch applies to the commit; None when one of them is not at hand."""
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each file that was asked for; none when the commit is not at hand. The patch is in
    them if it fits."""

    @property
    def whole(self) -> bool:
        """Returns whether `files` are all the code that ran."""
        return self.exists and (self.patch is None or bool(self.fits))

    def digest(self, dep: str) -> str | None:
        """Returns the digest of a dep; None when there is no such path."""
        return digest_of(dep, self.files)


def find_source(
    root: Path, commit: str | None, patch: str | None, patch_file: Path | None, deps: Iterable[str]
) -> Source:
    """Asks git once for everything that artifacts with this commit and patch name."""
    if commit is None or git.commit(root, commit) != commit:
        return Source(commit=commit, patch=patch, patch_file=patch_file)
    with tree_builder(root) as builder:
        content = patch_file.read_bytes() if patch and patch_file else None
        tree = builder.tree(commit, content)
        files = _files(tree, list(deps))
    return Source(
        commit=commit,
        patch=patch,
        exists=True,
        title=git.line(root, "log", "-1", "--format=%s", commit),
        ref=_reachable(root, commit),
        patch_file=patch_file,
        fits=tree.fits,
        files=files,
    )


def _reachable(root: Path, commit: str) -> str | None:
    """Returns where a commit can be reached from: HEAD's own branch first, then other branches,
    remote ones and tags, then a detached HEAD."""
    branch = git.line(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    is_ancestor = git.output(root, "merge-base", "--is-ancestor", commit, "HEAD") is not None
    if branch and is_ancestor:
        return f"branch {branch}"
    for word, refs in (("branch", "heads"), ("branch", "remotes"), ("tag", "tags")):
        options = ("--count=1", "--contains", commit, "--format=%(refname:short)")
        if name := git.line(root, "for-each-ref", *options, f"refs/{refs}"):
            return f"{word} {name}"
    return "HEAD" if is_ancestor else None


def _files(tree: PatchedTree, deps: list[str]) -> dict[str, str]:
    """Returns the sha256 of all that git has below `deps`; what DVC tracks is taken from its
    cache."""
    listed = (tree.output("ls-files", "--stage", "-z") or b"").decode()
    entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
    blobs = {name: about.split()[1] for about, _, name in entries}
    wanted = {
        name: blob
        for name, blob in blobs.items()
        if any(_within(name, dep) or name == f"{dep}.dvc" for dep in deps)
    }
    with git.objects(tree.root, tree.environ) as content:
        files = {name: hashlib.sha256(content(blob)).hexdigest() for name, blob in wanted.items()}
        for name, blob in wanted.items():
            if name.endswith(".dvc"):
                files |= _tracked(tree.root, name, content(blob))
    return files


def _within(name: str, dep: str) -> bool:
    return name == dep or name.startswith(f"{dep}/")


def _tracked(root: Path, pointer: str, content: bytes) -> dict[str, str]:
    """Returns the sha256 of each file that a .dvc file points at, as far as it is in DVC's
    cache."""
    digests: dict[str, str] = {}
    with contextlib.suppress(ParamsError):
        for path, md5 in resolve_dvc.tracked(content, pointer):
            place = PurePosixPath(pointer).parent / path
            listed = resolve_dvc.listing(root, md5)
            objects = {"": resolve_dvc.stored(root, md5)} if listed is None else listed
            for name, stored in objects.items():
                if stored.is_file():
                    digests[(place / name).as_posix()] = provenance.digest(stored)
    return digests


def digest_of(dep: str, files: Mapping[str, str]) -> str | None:
    """Returns what provenance.digest does of a file or directory, from the sha256 of files by their
    names."""
    if dep in files:
        return files[dep]
    below = {n[len(dep) + 1 :]: d for n, d in files.items() if n.startswith(f"{dep}/")}
    if not below or provenance.NAME in below:
        return below.get(provenance.NAME)
    return provenance.folded({n: below[n] for n in provenance.counted(sorted(below))})
