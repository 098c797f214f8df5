"""A `dvc exp run` that was killed leaves git on no branch. Who runs something next is told how to
get back; DVC says nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

MOVED = re.compile(r"checkout: moving from (\S+) to ([0-9a-f]{40})")
"""DVC leaves a branch for a commit by its full name; people do by a shorter one."""
OWN = re.compile(r"dvc: Restore HEAD to '[0-9a-f]{40}'|commit: dvc: commit experiment")
"""What DVC itself does to HEAD after it has left the branch."""
MERGED = "refs/exps/exec/EXEC_MERGE"


def warn() -> None:
    """One line on stderr; never in a running experiment, whose HEAD is on no branch either."""
    branch = left()
    if branch is None:
        return
    edits = next((rev for rev in map(_rev, ("refs/stash", MERGED)) if rev and _is_here(rev)), None)
    missing = f"; if edits of yours are missing, then `git stash apply {edits}`" if edits else ""
    print(
        f"warning: a `dvc exp run` was killed and left git on no branch; nothing is lost: "
        f"`git symbolic-ref HEAD refs/heads/{branch}` gets back to {branch} and "
        f"touches no file{missing}",
        file=sys.stderr,
        flush=True,
    )


def left() -> str | None:
    """The branch that a killed experiment left; None when HEAD is where its user put it."""
    root = os.environ.get("DVC_ROOT")
    elsewhere = root is not None and Path(root).resolve() != Path.cwd()
    if elsewhere or _git("symbolic-ref", "-q", "HEAD"):
        return None
    log = _git("reflog", "show", "--date=unix", "--format=%gd %gs", "-n", "100", "HEAD")
    for line in log.splitlines():
        when, _, entry = line.partition(" ")
        if moved := MOVED.fullmatch(entry):
            known = _rev(f"refs/heads/{moved[1]}") and _by_dvc() and not _just_now(when)
            return moved[1] if known else None
        if not OWN.match(entry):
            return None
    return None


def _just_now(when: str) -> bool:
    """Whether the experiment that runs now left the branch then, as DVC does right after it has
    written what is to be merged; a later one begins where a killed one left HEAD."""
    written = Path(_git("rev-parse", "--git-path", MERGED))
    running = "DVC_EXP_NAME" in os.environ and written.is_file()
    seconds = re.search(r"\{(\d+)\}", when)
    return running and seconds is not None and int(seconds[1]) >= int(written.stat().st_mtime)


def _by_dvc() -> bool:
    """Whether DVC has ever run, or put aside, anything here."""
    traces = ("refs/exps/exec/EXEC_HEAD", "refs/stash")
    return Path(".dvc/tmp/exps").is_dir() or any(map(_rev, traces))


def _is_here(stash: str) -> bool:
    """Made from the commit that is checked out."""
    return _rev(f"{stash}^1") == _rev("HEAD")


def _rev(name: str) -> str:
    return _git("rev-parse", "--verify", "-q", name)


def _git(*arguments: str) -> str:
    """Nothing where there is no git, or it has no answer."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
