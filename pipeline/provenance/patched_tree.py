"""A commit with a patch on top is built beside the repository, which stays as it is."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CannotRun
from pipeline.provenance import git


@dataclass(frozen=True, kw_only=True)
class PatchedTree:
    """An index that holds the commit and, if it fits, the patch."""

    root: Path
    environ: git.Environ
    """By which git works on this index, and writes new objects beside the repository."""
    fits: bool | None
    """Whether the patch can be applied to the commit; null without a patch."""

    def output(self, *arguments: str) -> bytes | None:
        return git.output(self.root, *arguments, environ=self.environ)


class TreeBuilder:
    """A place for the objects and indices of several trees, so that git can compare them."""

    def __init__(self, root: Path, scratch: Path) -> None:
        own = git.line(root, "rev-parse", "--git-path", "objects") or ""
        self.root, self.scratch, self.trees = root, scratch, 0
        self.environ = {
            "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((root / own).resolve()),
        }
        (scratch / "objects").mkdir()

    def tree(self, commit: str, patch: bytes | None) -> PatchedTree:
        """Returns the tree of a commit with a patch; `patch` is None or b"" for the commit alone.
        Raises CannotRun for what is no commit's id: git would read it as a revision, or as an
        option."""
        if not git.is_id(commit):
            raise CannotRun(f"{commit[:100]!r}: found no commit's id, expected 40 or 64 hex digits")
        self.trees += 1
        environ = self.environ | {"GIT_INDEX_FILE": str(self.scratch / f"index{self.trees}")}
        git.output(self.root, "read-tree", commit, environ=environ)
        fits = None
        if patch:
            apply = ("apply", "--cached", "--whitespace=nowarn")
            top = git.top(self.root)
            fits = git.output(top, *apply, stdin=patch, environ=environ) is not None
        return PatchedTree(root=self.root, environ=environ, fits=fits)


@contextlib.contextmanager
def tree_builder(root: Path) -> Iterator[TreeBuilder]:
    """Gives a place that is gone afterwards, with all trees built in it."""
    with tempfile.TemporaryDirectory() as scratch:
        yield TreeBuilder(root, Path(scratch))
