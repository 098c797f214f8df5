"""The recorded code in a clone of its own: a commit, and the patch that the artifact brings.

The user's repository is only read: the clone borrows its objects, and git runs nowhere else.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import provenance
from pipeline.errors import CannotRun
from pipeline.provenance import git
from pipeline.provenance.lineage import FOLDER, Node
from pipeline.reproduce import tree
from pipeline.reproduce.trust import is_own

# Set inside a git hook, they would point every git command at the user's repository; the others
# would put code or settings into a stage that no statement knows of.
FOREIGN = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "DVC_ROOT", "DVC_STAGE"),
    *("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"),
)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A work tree that the user named or stands in."""

    top: Path
    prefix: str
    """Where the project lies in it, "" for the top."""

    @property
    def project(self) -> Path:
        return self.top / self.prefix


@dataclass(frozen=True, kw_only=True)
class Code:
    """What a stage's statement says its code was."""

    commit: str
    own: bool
    """Returns whether git has the commit in the clone's own branches, or in its own remote's."""
    patch: bytes = field(repr=False)
    """b"" for a clean work tree."""
    place: Path | None = field(compare=False)
    """The patch's file."""

    @property
    def foreign(self) -> bool:
        """Returns whether some of it is not the clone's own: a patch came with the artifact."""
        return bool(self.patch) or not self.own

    @property
    def origin(self) -> str:
        return str(self.place) if self.place else f"commit {self.commit}"

    @property
    def label(self) -> str:
        return f"{self.commit[:12]}{' with source.patch' if self.patch else ''}"


def environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where all that is made lies, and who may write there: the code that runs has `clone` and a
    home; git's own directory is this process' alone, for git does what is written in it."""

    scratch: Path
    source: Repository

    @property
    def clone(self) -> Path:
        return self.scratch / "clone"

    @property
    def project(self) -> Path:
        return self.clone / self.source.prefix

    @property
    def git_dir(self) -> Path:
        return self.scratch / "git"

    @property
    def home(self) -> Path:
        return self.scratch / "home"

    @property
    def environ(self) -> git.Environ:
        """Returns the variables by which git works in the clone, and looks for no directory of its
        own in it."""
        own = {"GIT_DIR": str(self.git_dir), "GIT_WORK_TREE": str(self.clone)}
        return {**dict.fromkeys(FOREIGN), **own}

    def point_at_git(self) -> None:
        """Writes the clone's `.git` anew: what ran there may have put another in its place."""
        link = self.clone / ".git"
        tree.remove(link)
        tree.write(self.clone, link, f"gitdir: {self.git_dir}\n".encode())


def _git(
    at: Path, *arguments: str, stdin: bytes = b"", environ: git.Environ | None = None
) -> git.Answer:
    own = dict.fromkeys(FOREIGN) if environ is None else environ
    return git.run(at, *arguments, stdin=stdin, environ=own, offline=arguments[0] != "clone")


def last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no output"


def repository(path: Path) -> Repository:
    """Returns the repository that a directory lies in. Raises CannotRun."""
    if shutil.which("git") is None:
        raise CannotRun("git: not installed; the recorded code is a commit, so it takes git")
    if not path.is_dir():
        raise CannotRun(f"{path}: no such directory; name a clone with --repository PATH")
    answer = _git(path, "rev-parse", "--show-toplevel", "--show-prefix")
    if answer.status:
        raise CannotRun(
            f"{path.resolve()}: no git repository ({answer.last_error}); stand in a clone of "
            "the code that made the model, or name one with --repository PATH"
        )
    top, prefix = answer.output.decode().split("\n")[:2]
    return Repository(top=Path(top), prefix=prefix.rstrip("/"))


def clone(ground: Ground, foreign: bool) -> None:
    """Makes a clone without a work tree yet, which ignores what the user's git ignores. In one for
    foreign code no program of the user's filters files. Raises CannotRun."""
    top = ground.source.top
    options = ("-q", "--shared", "--no-checkout", f"--separate-git-dir={ground.git_dir}")
    answer = _git(top, "clone", *options, str(top), str(ground.clone))
    if answer.status:
        raise CannotRun(f"{top}: cannot be cloned: {answer.last_error}")
    shown = _git(top, "rev-parse", "--git-path", "info/exclude").text
    (ground.git_dir / "info").mkdir(exist_ok=True)
    if (top / shown).is_file():
        shutil.copyfile(top / shown, ground.git_dir / "info/exclude")
    if foreign:
        (ground.git_dir / "info/attributes").write_text("* -filter\n")


def recorded(
    node: Node, source: Repository, places: Iterable[Path], known: dict[str, bool]
) -> Code:
    """Raises CannotRun for a commit or a patch that is not at hand. Whether a commit, which many
    stages have, is the clone's own is asked once and `known` then."""
    if node.commit is None:
        raise CannotRun(
            f"{node.stage} was made outside git: its statement names no commit, so there is no "
            "code to run; train it again in a git repository"
        )
    if node.commit not in known:
        _demand_commit(node, node.commit, source)
        known[node.commit] = is_own(source.top, node.commit)
    if node.patch is None:
        return Code(commit=node.commit, own=known[node.commit], patch=b"", place=None)
    place, patch = _patch(node, node.commit, node.patch, list(places))
    return Code(commit=node.commit, own=known[node.commit], patch=patch, place=place)


def _demand_commit(node: Node, commit: str, source: Repository) -> None:
    if git.has_commit(source.top, commit):
        return
    lacks = f"{source.top}: lacks commit {commit}, with which {node.stage} ran"
    if _git(source.top, "rev-parse", "--is-shallow-repository").text == "true":
        raise CannotRun(f"{lacks}: it is a shallow clone; run `git fetch --unshallow` in it")
    raise CannotRun(
        f"{lacks}: it was rebased away or never pushed, or this is another repository; try "
        f"`git fetch origin {commit}`, or name the one that has it with --repository PATH"
    )


def _patch(node: Node, commit: str, digest: str, places: list[Path]) -> tuple[Path, bytes]:
    candidates = [place / provenance.PATCH for place in places]
    candidates += [path for place in places for path in sorted((place / FOLDER).rglob("*.patch"))]
    for path in candidates:
        if path.is_file():
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                return path, content
    others = [str(path) for path in candidates if path.is_file()]
    where = f"; {', '.join(others)} is another one" if others else ""
    beside = f" in {places[0]}" if places else ""
    raise CannotRun(
        f"{provenance.PATCH}: missing{where}: {node.stage} ran with uncommitted changes to "
        f"{commit[:12]}; put the file with sha256 {digest} back{beside}"
    )


def check_out(code: Code, ground: Ground, tree_id: str | None) -> None:
    """Checks out the commit and applies the patch. What an earlier patch left is taken away, what
    git ignores stays. Raises CannotRun, also where not `tree_id` comes out, which was shown."""
    ground.point_at_git()
    steps: list[tuple[list[str], bytes]] = [
        (["checkout", "--quiet", "--force", "--detach", code.commit], b""),
        (["clean", "--quiet", "-d", "--force", "--force"], b""),
    ]
    if code.patch:
        steps.append((["apply", "--index", "--whitespace=nowarn", "-"], code.patch))
    for command, stdin in steps:
        answer = _git(ground.clone, *command, stdin=stdin, environ=ground.environ)
        if answer.status:
            what = f"{code.place}" if stdin else code.commit
            raise CannotRun(f"{what}: `git {command[0]}` failed: {answer.last_error}")
    made = _git(ground.clone, "write-tree", environ=ground.environ).text
    if tree_id not in (None, made):
        raise CannotRun(f"{code.origin}: git makes {made} of it, and {tree_id} was shown")


def strays(code: Code, ground: Ground) -> str | None:
    """Returns why the statement of what is made here will not name the recorded code; None if it
    will."""
    named, patch = provenance.code(ground.project, ground.environ)
    if named["digest"]["gitCommit"] == code.commit and patch == code.patch:
        return None
    return (
        f"the work tree of {code.label} gives another {provenance.PATCH} than the recorded one "
        "(another git, other ignored files, or line endings)"
    )


def subject_line(code: Code, source: Repository) -> str:
    """Returns the first line of the commit's message."""
    return _git(source.top, "log", "-1", "--format=%s", code.commit).text


def targets(params: Mapping[str, object]) -> list[str]:
    """Returns every `_target_`: what the parameters have the code call."""
    names: list[str] = []
    for key, value in params.items():
        if key == "_target_":
            names.append(str(value))
        elif isinstance(value, Mapping):
            names += targets(value)
        elif isinstance(value, list):
            names += [each for item in value if isinstance(item, Mapping) for each in targets(item)]
    return list(dict.fromkeys(names))
