"""The code of a work tree: its commit, and the patch from that commit to what lies there."""

import hashlib
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import CannotRun, PipelineError
from pipeline.provenance import git

PATCH = "source.patch"

# What a change in it does is recorded elsewhere: as parameters, as data, or not part of a run.
NOT_CODE = (
    *("conf", "params.yaml", "conf.lock.yaml", "dvc.lock", "data", "artifacts", "reports"),
    "checkpoints",
    *("docs", "tests", "testing", "benchmarks", "faults", ".gitignore", "**/*.md", "**/*.dvc"),
)

DATA = ("data/*/**", "data/*[!y]", "data/*[!p]y", "data/*[!.]py", "data/y", "data/py")
"""What of data/ is no code, as patterns: all but its <name>.py, whose functions yield rows."""

CODE = ("models", "pipeline")
"""What lies in them is read when a stage runs, whatever it is and whether git is told of it."""

Call = Callable[..., bytes]
"""A call of git in one work tree."""

# The settings that a user's git can have, so that the same trees give the same patch.
DIFF = (
    *("--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--inter-hunk-context=0"),
    *("--diff-algorithm=myers", "--indent-heuristic", "-O/dev/null", "--ignore-submodules=none"),
)


def code(root: Path, environ: git.Environ | None = None) -> tuple[dict[str, Any], bytes]:
    """Returns the commit as a resolved dependency, and the patch from it to the work tree (b"" if
    clean).

    A tree outside git, or without a commit, has the commit null. `environ` can name git's own
    directory, so that it is not looked for in a tree that somebody else wrote. Raises PipelineError
    where there is a repository that git cannot read.
    """
    call = partial(_git, root, environ=environ or {})
    commit = _commit(root, call)
    patch = _patch(root, call) if commit else b""
    named: dict[str, Any] = {"name": "git", "digest": {"gitCommit": commit}}
    if patch:
        named["annotations"] = {PATCH: hashlib.sha256(patch).hexdigest()}
    return named, patch


def patched(patch: bytes) -> list[str]:
    """Returns the files that a patch of `code` changes, makes or removes."""
    lines = re.findall(rb'^diff --git "?a/.*? "?b/(.*?)"?$', patch, re.MULTILINE)
    return [name.decode(errors="replace") for name in lines]


def without_not_code() -> list[str]:
    """Returns the pathspecs by which git leaves NOT_CODE out."""
    others = [path for path in NOT_CODE if path != "data"]
    patterns = [*others, *(f"{path}/**" for path in others), *DATA]
    return [f":(exclude,glob){pattern}" for pattern in patterns]


def _commit(root: Path, call: Call) -> str | None:
    above = (root.resolve(), *root.resolve().parents)
    if not any((path / ".git").exists() for path in above):
        return None
    call("rev-parse", "--git-dir")
    head = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    return call(*head, accepted=(0, 1)).decode().strip() or None


def _patch(root: Path, call: Call) -> bytes:
    """Makes the patch with an index of its own, so that the user's stays as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        index = str(Path(scratch) / "index")
        call("read-tree", "HEAD", index=index)
        if new := [f":(top,literal){name}" for name in _new_files(root, index, call)]:
            call("add", "--force", "--intent-to-add", "--", *new, index=index)
        return call("diff", *DIFF, "HEAD", "--", ":/", *without_not_code(), index=index)


def _new_files(root: Path, index: str, git_call: Call) -> list[str]:
    """Returns the new files that are code. Those of Python are, tracked or not: what is imported is
    code. In CODE every file is, but for what git is told to ignore and is not Python; so is
    data/<name>.py, which DVC may have git ignore."""
    folders = [path for path in CODE if (root / path).is_dir()]
    others = ["ls-files", "--full-name", "--others", "--exclude-standard", "-z"]
    calls = [[*others, "--", ":/*.py", *folders, *without_not_code()]]
    ignored = [*(f"{path}/*.py" for path in folders), ":(glob)data/*.py"]
    calls.append([*others, "--ignored", "--", *ignored])
    listed = b"".join(git_call(*each, index=index) for each in calls)
    return [name for name in listed.decode().split("\0") if name]


def _git(
    root: Path,
    *arguments: str,
    environ: git.Environ,
    accepted: tuple[int, ...] = (0,),
    index: str | None = None,
) -> bytes:
    """Returns what git answers. Raises PipelineError with its own words: silence would pass for
    clean."""
    environ = {**environ, "GIT_INDEX_FILE": index} if index else environ
    try:
        answer = git.run(root, *arguments, environ=environ, offline=False)
    except CannotRun:
        raise PipelineError(
            f"{root}: is a git repository, but there is no git; install it"
        ) from None
    if answer.status not in accepted:
        raise PipelineError(
            f"{root.resolve()}: git {arguments[0]}: {answer.first_error}; `git status` tells more"
        )
    return answer.output
