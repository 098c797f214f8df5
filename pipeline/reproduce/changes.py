"""What a stranger's code changes, as git itself reads it: from trees, not from the patch's text,
which can say one thing to a reader and another to git."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import CannotRun
from pipeline.provenance import git
from pipeline.provenance.patched_tree import TreeBuilder, tree_builder
from pipeline.reproduce.code import Code
from pipeline.reproduce.trust import base

FILE_MODES = ("100644", "100755")
ABSENT = "000000"
KINDS = {"120000": "a symlink", "160000": "a submodule", "040000": "a directory"}
LARGEST = 64 << 20
"""Bytes of a patch, and of all that a stranger's commit changes."""
MOST = 2_000
"""Files."""

NOTES = (".md", ".rst", ".csv", ".tsv", ".parquet", ".npy", ".npz", ".png", ".jpg", ".jpeg", ".svg")
"""What is no code wherever it lies, but for a conf/ or a hidden file; all else is shown first."""
DIFF = (
    *("diff-tree", "-p", "-r", "--text", "--full-index", "--no-color", "--no-ext-diff"),
    *("--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3"),
)
LEAVES_THE_TREE = re.compile(r"(^|/)(\.git|git~\d+|\.\.)(/|$)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Change:
    name: str
    text: str | None
    """A unified diff; None of what is no text."""
    size: int
    """Bytes of the file, as it becomes."""

    @property
    def is_code(self) -> bool:
        """Returns whether something may run it, or be told by it what to run."""
        path = PurePosixPath(self.name)
        hidden = any(part.startswith(".") for part in path.parts)
        return hidden or "conf" in path.parts or path.suffix.lower() not in NOTES


@dataclass(frozen=True, kw_only=True)
class Entry:
    name: str
    blobs: list[str]
    """As it was and as it becomes, where there is such a file."""
    size: int


@dataclass(frozen=True, kw_only=True)
class Changes:
    tree: str
    """The id of the tree that they end in."""
    files: list[Change]
    """Code first."""


def changes(code: Code, top: Path) -> Changes:
    """Raises CannotRun for what no stage's code is: links, submodules, git's own files; and for a
    patch that does not apply."""
    if len(code.patch) > LARGEST:
        raise CannotRun(f"{code.place}: found {len(code.patch)} bytes, expected {LARGEST} at most")
    with tree_builder(top) as builder:
        before = code.commit if code.own else base(top, code.commit) or _nothing(top)
        tree = _tree(builder, code)
        listed = list(_listed(builder, before, tree, code))
        if len(listed) > MOST or sum(each.size for each in listed) > LARGEST:
            raise CannotRun(f"{code.origin}: changes more than can be read: {len(listed)} files")
        changed = [_change(builder, before, tree, each) for each in listed]
    return Changes(tree=tree, files=sorted(changed, key=lambda each: (not each.is_code, each.name)))


def _nothing(top: Path) -> str:
    """Returns the id of the tree without files."""
    return git.line(top, "hash-object", "-t", "tree", "--stdin") or ""


def _tree(builder: TreeBuilder, code: Code) -> str:
    built = builder.tree(code.commit, code.patch)
    if built.fits is False:
        raise CannotRun(f"{code.place}: does not apply to commit {code.commit}; expected its patch")
    tree = (built.output("write-tree") or b"").decode().strip()
    if not git.is_id(tree):
        raise CannotRun(f"{code.origin}: git makes no tree of it")
    return tree


def _listed(builder: TreeBuilder, before: str, tree: str, code: Code) -> Iterator[Entry]:
    raw = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", before, tree)
    listed = git.output(builder.root, *raw, environ=builder.environ)
    if listed is None:
        raise CannotRun(f"{code.origin}: git cannot list what it changes")
    parts = listed.decode(errors="surrogateescape").split("\0")
    for about, name in zip(parts[0::2], parts[1::2], strict=False):
        _, mode, old, new, _ = about.split()
        _demand_file(name, mode, code)
        size = git.output(builder.root, "cat-file", "-s", new, environ=builder.environ)
        yield Entry(name=name, blobs=[b for b in (old, new) if b.strip("0")], size=int(size or 0))


def _demand_file(name: str, mode: str, code: Code) -> None:
    if mode not in (*FILE_MODES, ABSENT):
        kind = KINDS.get(mode, f"of mode {mode}")
        raise CannotRun(f"{code.origin}: {name[:200]!r} is {kind}; expected plain files alone")
    if LEAVES_THE_TREE.search(name) or name.startswith("/") or not name.isprintable():
        raise CannotRun(f"{code.origin}: changes {name[:200]!r}; expected files of the work tree")


def _change(builder: TreeBuilder, before: str, tree: str, entry: Entry) -> Change:
    """Returns a changed file as it is shown. It counts as text unless a null byte is in it; Python
    is shown in any case."""

    def output(*arguments: str) -> bytes:
        return git.output(builder.root, *arguments, environ=builder.environ) or b""

    binary = any(b"\0" in output("cat-file", "blob", blob) for blob in entry.blobs)
    if binary and not entry.name.endswith(".py"):
        return Change(name=entry.name, text=None, size=entry.size)
    shown = output(*DIFF, before, tree, "--", f":(top,literal){entry.name}")
    text = shown.decode(errors="backslashreplace")
    return Change(name=entry.name, text=text, size=entry.size)
