"""The code and the raw data that a statement names, compared with git's objects and, where those
are missing, with the work tree. Nothing is written to the repository."""

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline import provenance
from pipeline.config.reading import load_yaml
from pipeline.errors import ParamsError
from pipeline.resolve import dvc as resolve_dvc
from pipeline.resolve import git as resolve_git
from pipeline.resolve.git import git, line


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
    """Whether the patch can be applied to the commit; None when one of them is not at hand."""
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each file that was asked for; none when the commit is not at hand. The patch is in
    them if it fits."""

    @property
    def whole(self) -> bool:
        """Whether `files` are all the code that ran."""
        return self.exists and (self.patch is None or bool(self.fits))

    def digest(self, dep: str) -> str | None:
        """Of a dep; None when there is no such path."""
        return digest_of(dep, self.files)


def look(
    root: Path, commit: str | None, patch: str | None, patch_file: Path | None, deps: Iterable[str]
) -> Source:
    """Asks git once for everything that artifacts with this commit and patch name."""
    found = Source(commit=commit, patch=patch, patch_file=patch_file)
    if commit is None or resolve_git.commit(root, commit) != commit:
        return found
    title = line(root, "log", "-1", "--format=%s", commit)
    with tempfile.TemporaryDirectory() as scratch:
        environ = _index(root, Path(scratch))
        git(root, "read-tree", commit, environ=environ)
        fits = _apply(root, patch_file, environ) if patch and patch_file else None
        files = _files(root, list(deps), environ)
    return Source(
        commit=commit,
        patch=patch,
        exists=True,
        title=title,
        ref=_reachable(root, commit),
        patch_file=patch_file,
        fits=fits,
        files=files,
    )


def _index(root: Path, scratch: Path) -> dict[str, str]:
    """An index and a place for new objects outside the repository."""
    objects = line(root, "rev-parse", "--git-path", "objects") or ""
    (scratch / "objects").mkdir()
    return {
        "GIT_INDEX_FILE": str(scratch / "index"),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((root / objects).resolve()),
    }


def _apply(root: Path, patch: Path, environ: Mapping[str, str]) -> bool:
    top = Path(line(root, "rev-parse", "--show-toplevel") or root)
    options = ("--cached", "--whitespace=nowarn")
    return git(top, "apply", *options, str(patch.resolve()), environ=environ) is not None


def _reachable(root: Path, commit: str) -> str | None:
    """HEAD's own branch first, then other branches, remote ones and tags, then a detached HEAD."""
    branch = line(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    is_ancestor = git(root, "merge-base", "--is-ancestor", commit, "HEAD") is not None
    if branch and is_ancestor:
        return f"branch {branch}"
    for word, refs in (("branch", "heads"), ("branch", "remotes"), ("tag", "tags")):
        options = ("--count=1", "--contains", commit, "--format=%(refname:short)")
        if name := line(root, "for-each-ref", *options, f"refs/{refs}"):
            return f"{word} {name}"
    return "HEAD" if is_ancestor else None


def _files(root: Path, deps: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """sha256 of all that git has below `deps`; what DVC tracks is taken from its cache."""
    listed = (git(root, "ls-files", "--stage", "-z", environ=environ) or b"").decode()
    entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
    blobs = {name: about.split()[1] for about, _, name in entries}
    wanted = {
        name: blob
        for name, blob in blobs.items()
        if any(_within(name, dep) or name == f"{dep}.dvc" for dep in deps)
    }
    with _objects(root, environ) as content:
        files = {name: hashlib.sha256(content(blob)).hexdigest() for name, blob in wanted.items()}
        for name, blob in wanted.items():
            if name.endswith(".dvc"):
                files |= _tracked(root, name, content(blob))
    return files


@contextlib.contextmanager
def _objects(root: Path, environ: Mapping[str, str]) -> Iterator["Reader"]:
    command = ["git", "-C", str(root), "-c", "protocol.allow=never", "cat-file", "--batch"]
    environment = {**os.environ, **resolve_git.ENVIRONMENT, **environ}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Reader(process)


class Reader:
    """Objects' contents by their ids, from one process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def __call__(self, blob: str) -> bytes:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{blob}\n".encode())
        self.process.stdin.flush()
        header = self.process.stdout.readline().split()
        if len(header) != 3:  # "<id> missing", in a partial clone
            return b""
        content = self.process.stdout.read(int(header[2]) + 1)
        return content[:-1]


def _within(name: str, dep: str) -> bool:
    return name == dep or name.startswith(f"{dep}/")


def _tracked(root: Path, pointer: str, content: bytes) -> dict[str, str]:
    """Name -> sha256 of what a .dvc file points at, as far as it is in DVC's cache."""
    found: dict[str, str] = {}
    with contextlib.suppress(ParamsError, AttributeError, KeyError, TypeError):
        for out in load_yaml(content.decode(errors="replace"), pointer)["outs"]:
            place = PurePosixPath(pointer).parent / out["path"]
            held = resolve_dvc.listing(root, out["md5"])
            named = {"": resolve_dvc.stored(root, out["md5"])} if held is None else held
            for name, path in named.items():
                if path.is_file():
                    found[(place / name).as_posix()] = provenance.digest(path)
    return found


def digest_of(dep: str, files: Mapping[str, str]) -> str | None:
    """provenance.digest of a file or directory, from the sha256 of files by their names."""
    if dep in files:
        return files[dep]
    below = {n[len(dep) + 1 :]: d for n, d in files.items() if n.startswith(f"{dep}/")}
    if not below or provenance.NAME in below:
        return below.get(provenance.NAME)
    return provenance.folded({n: below[n] for n in sorted(below) if provenance.counts(n)})
