"""Code of two artifacts: the commits between them, and a real diff of the two trees.

A tree is a commit with its patch on top. It is built beside the repository, which stays untouched.
"""

from pathlib import Path
from typing import Any

from pipeline.diff.side import Side, changed, grouped
from pipeline.provenance import git
from pipeline.provenance.lineage import Node, dep_kind
from pipeline.provenance.patched_tree import tree_builder
from pipeline.provenance.work_tree import without_not_code

READABLE = (
    *("--no-color", "--no-ext-diff", "--no-textconv", "--find-renames"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=histogram"),
)
COMMITS = 20
"""So many of a range are named."""


def compare(a: Side, b: Side) -> list[dict[str, Any]]:
    """Gives an entry for each pair of trees that stages were run from, the stages named in it."""
    both = [stage for stage in a.chain if stage in b.chain]

    def between(stage: str) -> dict[str, Any]:
        one, other = a.chain[stage], b.chain[stage]
        return {"a": _named(one), "b": _named(other)}

    groups = grouped(both, between)
    return [group | _differences(a, b, group["stages"]) for group in groups]


def _named(node: Node) -> dict[str, str | None]:
    return {"commit": node.commit, "patch": node.patch}


def _differences(a: Side, b: Side, stages: list[str]) -> dict[str, Any]:
    """Returns what differs between two trees. `read` are files that the stages name among their
    deps and that differ, by digest alone."""
    read = {}
    for stage in stages:
        changes = changed(a.deps(a.chain[stage]), b.deps(b.chain[stage]))
        if names := [each["key"] for each in changes if dep_kind(each["key"]) == "code"]:
            read[stage] = names
    one, other = a.chain[stages[0]], b.chain[stages[0]]
    report: dict[str, Any] = {"read": read, "commits": None, "diff": None, "unsaid": []}
    if (one.commit, one.patch) == (other.commit, other.patch) and one.commit:
        return report | {"differ": bool(read), "diff": "", "files": []}
    report["unsaid"] = [*_why_not_compared(a, one), *_why_not_compared(b, other)]
    if not report["unsaid"]:
        report["commits"] = _range(a.root, str(one.commit), str(other.commit))
        report["diff"] = _diff(a, one, b, other)
        if report["diff"] is None:
            report["unsaid"] = ["a recorded patch does not apply to its commit"]
    files = _files(report["diff"] or "")
    return report | {"differ": bool(read or report["diff"]), "files": files}


def _why_not_compared(side: Side, node: Node) -> list[str]:
    if node.commit is None:
        return [f"{side.name}: made outside git, so there is no tree to compare"]
    if not side.commits(node):
        return [f"{side.name}: commit {node.commit[:12]} is not in this repository; `git fetch`"]
    if side.patch(node) is None:
        return [f"{side.name}: its source.patch ({str(node.patch)[:8]}) is not here"]
    return []


def _range(root: Path, one: str, other: str) -> dict[str, Any]:
    """Returns how many commits each has that the other has not, and the last of them."""
    counts = git.line(root, "rev-list", "--left-right", "--count", f"{one}...{other}") or "0 0"
    form = ["log", "--left-right", "--format=%m %h %s", f"--max-count={COMMITS}"]
    named = (git.line(root, *form, f"{one}...{other}") or "").splitlines()
    only_a, only_b = map(int, counts.split())
    return {"only_a": only_a, "only_b": only_b, "named": named}


def _diff(a: Side, one: Node, b: Side, other: Node) -> str | None:
    """Returns a unified diff of code alone; None when a patch does not apply."""
    with tree_builder(a.root) as builder:
        trees = []
        for side, node in ((a, one), (b, other)):
            tree = builder.tree(str(node.commit), side.patch(node))
            if tree.fits is False:
                return None
            trees.append((tree.output("write-tree") or b"").decode().strip())
        options = (*READABLE, *trees, "--", ":/", *without_not_code())
        diff = git.output(a.root, "diff", *options, environ=builder.environ)
    return None if diff is None else diff.decode(errors="replace")


def _files(diff: str) -> list[dict[str, Any]]:
    """Returns each file's name, and the lines that came and went."""
    files: list[dict[str, Any]] = []
    header = True
    for text in diff.splitlines():
        if text.startswith("diff --git "):
            files.append({"name": text.rpartition(" b/")[2].rstrip('"'), "added": 0, "removed": 0})
            header = True
        elif text.startswith("@@"):
            header = False
        elif files and not header and text[:1] in ("+", "-"):
            files[-1]["added" if text[0] == "+" else "removed"] += 1
    return files
