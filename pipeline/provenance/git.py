"""The one caller of git: plain commands that run no hook and heed no setting of the user that would
change an answer.

Nothing is written to the user's repository, and unless a caller says so no network is used.
"""

import contextlib
import io
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CannotRun
from pipeline.provenance.addresses import without_login

SETTINGS = (
    *("core.quotePath=false", "core.hooksPath=/dev/null", "diff.suppressBlankEmpty=false"),
    *("gc.auto=0", "core.fsmonitor=false", "submodule.recurse=false"),
)
OFFLINE = "protocol.allow=never"
"""The setting without which a partial clone would fetch what it lacks."""
ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
ENVIRONMENT = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}

Environ = Mapping[str, str | None]
"""Variables on top of the process' own; null takes one away."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What git printed and how it ended."""

    status: int
    output: bytes
    error: str

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace").strip()

    @property
    def first_error(self) -> str:
        return self.error.partition("\n")[0]

    @property
    def last_error(self) -> str:
        return self.error.rpartition("\n")[2].strip() or "no output"


def run(
    root: Path,
    *arguments: str,
    stdin: bytes = b"",
    environ: Environ | None = None,
    offline: bool = True,
) -> Answer:
    """Runs git in the directory `root`. Raises CannotRun where git is not installed."""
    command, environment = _call(root, arguments, environ, offline)
    try:
        done = subprocess.run(command, env=environment, input=stdin, capture_output=True)
    except FileNotFoundError:
        raise CannotRun("git: not installed; install it") from None
    error = without_login(done.stderr.decode(errors="replace").strip())
    return Answer(status=done.returncode, output=done.stdout, error=error)


def _call(
    root: Path, arguments: Iterable[str], environ: Environ | None, offline: bool
) -> tuple[list[str], dict[str, str]]:
    settings = (*SETTINGS, OFFLINE) if offline else SETTINGS
    options = [part for setting in settings for part in ("-c", setting)]
    own = ENVIRONMENT | ({"GIT_NO_LAZY_FETCH": "1"} if offline else {})
    values = {**os.environ, **own, **(environ or {})}
    environment = {name: value for name, value in values.items() if value is not None}
    return ["git", "-C", str(root), *options, *arguments], environment


def output(
    root: Path, *arguments: str, stdin: bytes = b"", environ: Environ | None = None
) -> bytes | None:
    """Returns what git answers; None where it refuses, or where there is no git."""
    with contextlib.suppress(CannotRun):
        answer = run(root, *arguments, stdin=stdin, environ=environ)
        return answer.output if answer.status == 0 else None
    return None


def line(root: Path, *arguments: str) -> str | None:
    """Returns the same as text, without the newline at its end."""
    answer = output(root, *arguments)
    return None if answer is None else answer.decode(errors="replace").strip()


def is_repository(root: Path) -> bool:
    return line(root, "rev-parse", "--git-dir") is not None


def commit(root: Path, revision: str) -> str | None:
    """Returns the full id of the commit that a revision means here."""
    if revision.startswith("-") or "\0" in revision:
        return None
    return line(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or None


def is_id(text: str) -> bool:
    """Returns whether a text is a whole object id, which names one thing everywhere; a branch,
    HEAD, an abbreviation or an option is none."""
    return ID.fullmatch(text) is not None


def has_commit(root: Path, name: str) -> bool:
    """Returns whether `name` is the whole id of a commit that is at hand, and not of a tag that
    leads to one."""
    return is_id(name) and line(root, "cat-file", "-t", name) == "commit"


def top(root: Path) -> Path:
    """Returns the work tree's root. `git apply` passes over what lies outside the directory it runs
    in."""
    return Path(line(root, "rev-parse", "--show-toplevel") or root)


def remote_url(root: Path, name: str) -> str | None:
    return line(root, "remote", "get-url", name)


def experiments(root: Path) -> list[tuple[str, str, str]]:
    """Returns name, commit and baseline of DVC's experiments, whose refs are
    refs/exps/<2>/<38>/<name>."""
    listed = line(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or ""
    named = []
    for entry in listed.splitlines():
        object_name, _, ref = entry.partition(" ")
        parts = ref.split("/", 4)
        if len(parts) == 5 and (len(parts[2]), len(parts[3])) == (2, 38):
            named.append((parts[4], object_name, parts[2] + parts[3]))
    return named


def file_at(root: Path, revision: str, name: str) -> bytes | None:
    """Returns a file's content at a revision; `name` counts from `root`."""
    return output(root, "show", f"{revision}:./{name}")


def versions(root: Path, name: str) -> list[tuple[int, str, str]]:
    """Returns time in seconds, commit and blob, earliest first, of every commit that has the file
    `name` in another form than a parent.

    Whatever a ref or a reflog reaches counts: branches, tags, remotes, experiments, stashes. No
    history is simplified, for what a merge dropped is still there.
    """
    settings = ("log.showRoot=true", "log.showSignature=false", "log.follow=false")
    own = [part for setting in settings for part in ("-c", setting)]
    shown = ("--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=%ct %H")
    listed = line(root, *own, "log", "--all", "--reflog", *shown, "--", name) or ""
    changes, time, commit = set(), 0, ""
    for entry in listed.splitlines():
        parts = entry.split()
        if entry.startswith(":"):
            changes.add((time, commit, parts[3]))
        elif parts:
            time, commit = int(parts[0]), parts[1]
    return sorted(each for each in changes if each[2].strip("0"))


def blobs(root: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of each object that is at hand; all are read before the first is
    yielded."""
    answer = output(root, "cat-file", "--batch", stdin="\n".join(names).encode())
    reader = io.BytesIO(answer or b"")
    while head := reader.readline().decode().split():
        if head[1] == "blob":
            yield head[0], reader.read(int(head[2]))
            reader.readline()


@contextlib.contextmanager
def objects(root: Path, environ: Environ) -> Iterator[Callable[[str], bytes]]:
    """Gives a function from an object's id to its content, b"" where a partial clone lacks it.

    One process answers, an object at a time, so that memory holds no more than one.
    """
    command, environment = _call(root, ("cat-file", "--batch"), environ, True)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        requests, answers = process.stdin, process.stdout

        def content(name: str) -> bytes:
            requests.write(f"{name}\n".encode())
            requests.flush()
            header = answers.readline().split()
            if len(header) != 3:  # "<id> missing"
                return b""
            return answers.read(int(header[2]) + 1)[:-1]

        yield content
