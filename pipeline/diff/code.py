"""Code of two artifacts: the commits between them, and a real diff of the two trees.

A tree is a commit with its patch on top. It is built beside the repository, which stays untouched.
"""

import tempfile
from pathlib import Path
from typing import Any

from pipeline.diff.side import Side, changed, grouped
from pipeline.provenance import NOT_CODE
from pipeline.provenance.lineage import Node
from pipeline.resolve.git import git, line

READABLE = (
    *("--no-color", "--no-ext-diff", "--no-textconv", "--find-renames"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=histogram"),
)
COMMITS = 20
"""So many of a range are named."""


def compare(a: Side, b: Side) -> list[dict[str, Any]]:
    """One entry for each pair of trees that stages were run from, the stages named in it."""
    both = [stage for stage in a.chain if stage in b.chain]

    def between(stage: str) -> dict[str, Any]:
        one, other = a.chain[stage], b.chain[stage]
        return {"a": _named(one), "b": _named(other)}

    groups = grouped(both, between)
    return [group | _differences(a, b, group["stages"]) for group in groups]


def _named(node: Node) -> dict[str, str | None]:
    return {"commit": node.commit, "patch": node.patch}


def _differences(a: Side, b: Side, stages: list[str]) -> dict[str, Any]:
    """`read`: files that the stages name among their deps and that differ, by digest alone."""
    read = {}
    for stage in stages:
        found = changed(a.deps(a.chain[stage]), b.deps(b.chain[stage]))
        if kept := [each for each in found if is_code(each["key"])]:
            read[stage] = [each["key"] for each in kept]
    one, other = a.chain[stages[0]], b.chain[stages[0]]
    said: dict[str, Any] = {"read": read, "commits": None, "diff": None, "unsaid": []}
    if (one.commit, one.patch) == (other.commit, other.patch) and one.commit:
        return said | {"differ": bool(read), "diff": "", "files": []}
    said["unsaid"] = [*_unsaid(a, one), *_unsaid(b, other)]
    if not said["unsaid"]:
        said["commits"] = _range(a.root, str(one.commit), str(other.commit))
        said["diff"] = _diff(a, one, b, other)
        if said["diff"] is None:
            said["unsaid"] = ["a recorded patch does not apply to its commit"]
    files = _files(said["diff"] or "")
    return said | {"differ": bool(read or said["diff"]), "files": files}


def is_code(name: str) -> bool:
    return name.split("/")[0] not in NOT_CODE


def _unsaid(side: Side, node: Node) -> list[str]:
    if node.commit is None:
        return [f"{side.name}: made outside git, so there is no tree to compare"]
    if not side.commits(node):
        return [f"{side.name}: commit {node.commit[:12]} is not in this repository; `git fetch`"]
    if side.patch(node) is None:
        return [f"{side.name}: its source.patch ({str(node.patch)[:8]}) is not here"]
    return []


def _range(root: Path, one: str, other: str) -> dict[str, Any]:
    """How many commits each has that the other has not, and the last of them."""
    counts = line(root, "rev-list", "--left-right", "--count", f"{one}...{other}") or "0 0"
    form = ["log", "--left-right", "--format=%m %h %s", f"--max-count={COMMITS}"]
    named = (line(root, *form, f"{one}...{other}") or "").splitlines()
    only_a, only_b = map(int, counts.split())
    return {"only_a": only_a, "only_b": only_b, "named": named}


def _diff(a: Side, one: Node, b: Side, other: Node) -> str | None:
    """Unified, of code alone; None when a patch does not apply."""
    excluded = [f":(exclude,glob){path}" for path in NOT_CODE]
    excluded += [f":(exclude,glob){path}/**" for path in NOT_CODE]
    objects = line(a.root, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    with tempfile.TemporaryDirectory() as scratch:
        # Objects of the patched trees are made here; those of the repository are only read.
        (Path(scratch) / "objects").mkdir()
        environ = {
            "GIT_OBJECT_DIRECTORY": f"{scratch}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        trees = []
        for number, (side, node) in enumerate(((a, one), (b, other))):
            own = environ | {"GIT_INDEX_FILE": f"{scratch}/index{number}"}
            git(side.root, "read-tree", str(node.commit), environ=own)
            if patch := side.patch(node):
                apply = ("apply", "--cached", "--whitespace=nowarn")
                if _at_top(side.root, *apply, stdin=patch, environ=own) is None:
                    return None
            trees.append((git(side.root, "write-tree", environ=own) or b"").decode().strip())
        found = git(a.root, "diff", *READABLE, *trees, "--", ":/", *excluded, environ=environ)
    return None if found is None else found.decode(errors="replace")


def _at_top(root: Path, *arguments: str, stdin: bytes, environ: dict[str, str]) -> bytes | None:
    """`git apply` leaves out, without a word, what lies outside the directory it is run in."""
    top = line(root, "rev-parse", "--show-toplevel")
    return git(Path(top or root), *arguments, stdin=stdin, environ=environ)


def _files(diff: str) -> list[dict[str, Any]]:
    """Each file's name, and the lines that came and went."""
    found: list[dict[str, Any]] = []
    header = True
    for text in diff.splitlines():
        if text.startswith("diff --git "):
            found.append({"name": text.rpartition(" b/")[2].rstrip('"'), "added": 0, "removed": 0})
            header = True
        elif text.startswith("@@"):
            header = False
        elif found and not header and text[:1] in ("+", "-"):
            found[-1]["added" if text[0] == "+" else "removed"] += 1
    return found
