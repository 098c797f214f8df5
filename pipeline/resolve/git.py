"""Git asked in plain commands: nothing is written to the repository, and no network is used."""

import io
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ENVIRONMENT = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
OFFLINE = ("-c", "protocol.allow=never")  # a partial clone would fetch what it lacks


def git(
    root: Path,
    *arguments: str,
    stdin: bytes | None = None,
    environ: Mapping[str, str] | None = None,
) -> bytes | None:
    """What git answered; None when it refused, or where there is no git."""
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", *OFFLINE, *arguments]
    environment = {**os.environ, **ENVIRONMENT, **(environ or {})}
    try:
        done = subprocess.run(command, env=environment, input=stdin, capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def line(root: Path, *arguments: str) -> str | None:
    found = git(root, *arguments)
    return None if found is None else found.decode(errors="replace").strip()


def is_repository(root: Path) -> bool:
    return line(root, "rev-parse", "--git-dir") is not None


def commit(root: Path, revision: str) -> str | None:
    """The full id of what a revision means here."""
    if revision.startswith("-"):
        return None
    return line(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or None


def experiments(root: Path) -> list[tuple[str, str, str]]:
    """Name, commit and baseline of DVC's experiments: refs/exps/<2>/<38>/<name>."""
    listed = line(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or ""
    found = []
    for entry in listed.splitlines():
        object_name, _, ref = entry.partition(" ")
        parts = ref.split("/", 4)
        if len(parts) == 5 and (len(parts[2]), len(parts[3])) == (2, 38):
            found.append((parts[4], object_name, parts[2] + parts[3]))
    return found


def file_at(root: Path, revision: str, name: str) -> bytes | None:
    """A file's content, `name` counted from `root`."""
    return git(root, "show", f"{revision}:./{name}")


def versions(root: Path, name: str) -> list[tuple[int, str, str]]:
    """Time in seconds, commit and blob, earliest first, of every commit that has the file `name` in
    another form than a parent.

    Whatever a ref or a reflog reaches counts: branches, tags, remotes, experiments, stashes. No
    history is simplified, for what a merge dropped is still there.
    """
    own = ("-c", "log.showRoot=true", "-c", "log.showSignature=false", "-c", "log.follow=false")
    shown = ("--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=%ct %H")
    listed = line(root, *own, "log", "--all", "--reflog", *shown, "--", name) or ""
    found, time, commit = set(), 0, ""
    for entry in listed.splitlines():
        parts = entry.split()
        if entry.startswith(":"):
            found.add((time, commit, parts[3]))
        elif parts:
            time, commit = int(parts[0]), parts[1]
    return sorted(each for each in found if each[2].strip("0"))


def blobs(root: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each that is at hand, all from one process."""
    answer = io.BytesIO(git(root, "cat-file", "--batch", stdin="\n".join(names).encode()) or b"")
    while head := answer.readline().decode().split():
        if head[1] == "blob":
            yield head[0], answer.read(int(head[2]))
            answer.readline()
