"""A `dvc exp run` that was killed leaves git on no branch.

DVC says nothing of it; whoever runs something next reads how to get back.
"""

import os
import re
import sys
from pathlib import Path

from pipeline.provenance import git

MOVED_BY_DVC = re.compile(r"checkout: moving from (\S+) to ([0-9a-f]{40})")
"""DVC leaves a branch for a commit by its full name; people do by a shorter one."""
RESTORED_BY_DVC = re.compile(r"dvc: Restore HEAD to '[0-9a-f]{40}'|commit: dvc: commit experiment")
"""DVC itself does this to HEAD after it has left the branch."""
MERGE_REF = "refs/exps/exec/EXEC_MERGE"


def warn() -> None:
    """Prints one line on stderr; never in a running experiment, whose HEAD is on no branch."""
    branch = branch_left()
    if branch is None:
        return
    edits = next((rev for rev in _stashes() if _starts_at_head(rev)), None)
    missing = f"; if edits of yours are missing, then `git stash apply {edits}`" if edits else ""
    print(
        f"warning: a `dvc exp run` was killed and left git on no branch; nothing is lost: "
        f"`git symbolic-ref HEAD refs/heads/{branch}` gets back to {branch} and "
        f"touches no file{missing}",
        file=sys.stderr,
        flush=True,
    )


def branch_left() -> str | None:
    """Returns the branch that a killed experiment left; None if HEAD is where its user put it."""
    root = os.environ.get("DVC_ROOT")
    elsewhere = root is not None and Path(root).resolve() != Path.cwd()
    if elsewhere or _git("symbolic-ref", "-q", "HEAD"):
        return None
    log = _git("reflog", "show", "--date=unix", "--format=%gd %gs", "-n", "100", "HEAD")
    for line in log.splitlines():
        when, _, entry = line.partition(" ")
        if moved := MOVED_BY_DVC.fullmatch(entry):
            branch, by_dvc = moved[1], _dvc_experiments_ran() and not _left_by_this_run(when)
            return branch if by_dvc and _rev(f"refs/heads/{branch}") else None
        if not RESTORED_BY_DVC.match(entry):
            return None
    return None


def _left_by_this_run(when: str) -> bool:
    """Returns whether the experiment that runs now left the branch then.

    DVC does so right after it has written what is to be merged; a later one begins where a killed
    one left HEAD.
    """
    written = Path(_git("rev-parse", "--git-path", MERGE_REF))
    running = "DVC_EXP_NAME" in os.environ and written.is_file()
    seconds = re.search(r"\{(\d+)\}", when)
    return running and seconds is not None and int(seconds[1]) >= int(written.stat().st_mtime)


def _dvc_experiments_ran() -> bool:
    """Returns whether DVC has ever run an experiment, or put changes aside, here."""
    traces = ("refs/exps/exec/EXEC_HEAD", "refs/stash")
    return Path(".dvc/tmp/exps").is_dir() or any(map(_rev, traces))


def _stashes() -> list[str]:
    """Returns the commits that may hold edits of the user's."""
    return [rev for rev in map(_rev, ("refs/stash", MERGE_REF)) if rev]


def _starts_at_head(stash: str) -> bool:
    return _rev(f"{stash}^1") == _rev("HEAD")


def _rev(name: str) -> str:
    return _git("rev-parse", "--verify", "-q", name)


def _git(*arguments: str) -> str:
    """Returns what git printed; "" where there is no git, or it fails."""
    return git.line(Path(), *arguments) or ""
