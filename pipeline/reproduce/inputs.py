"""What a stage reads and no stage makes, brought into the clone by digest: git, the user's files,
DVC's cache, DVC's remote."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline import provenance
from pipeline.errors import CannotRun
from pipeline.examine import demand_admitted
from pipeline.provenance import lineage
from pipeline.provenance.addresses import without_login
from pipeline.provenance.lineage import Node, dep_kind
from pipeline.reproduce import tree
from pipeline.reproduce.code import Ground, environ
from pipeline.reproduce.confined import Runner
from pipeline.resolve import dvc as resolve_dvc

DIGEST = """
import sys
from pathlib import Path
from pipeline.provenance import digest
print(digest(Path(sys.argv[1])))
"""
NAMED = 3
"""Files that an error names."""


@dataclass(frozen=True, kw_only=True)
class Input:
    path: str
    """As dvc.yaml names it."""
    digest: str
    """The recorded one."""
    origin: str | None
    """Where these bytes were; None where only other bytes are at hand, which only code may be."""


def bring(
    node: Node, rebuilt: Container[str], runner: Runner, places: Mapping[str, Path]
) -> list[Input]:
    """Brings the inputs of the stages into the clone. `rebuilt` are the outputs of stages that have
    run. Raises CannotRun for data that are not at hand."""
    inputs = []
    for path, digest in node.deps.items():
        if path not in rebuilt:
            tree.demand_inside(runner.ground.clone, runner.ground.project / path)
            origin = _origin(path, digest, runner, places)
            is_code = dep_kind(path) == "code"
            if origin is None and not (is_code and (runner.ground.project / path).exists()):
                raise CannotRun(_missing(node, path, digest, runner))
            inputs.append(Input(path=path, digest=digest, origin=origin))
    return inputs


def _origin(path: str, digest: str, runner: Runner, places: Mapping[str, Path]) -> str | None:
    """Returns where an input's bytes were, or None. What lies beside the artifact is taken for an
    artifact alone: it is no code of the clone's, whatever it says that it is."""
    ground = runner.ground
    target, own = ground.project / path, ground.source.project
    if _fits(target, digest, runner):
        return "the commit"
    for other in (own / path, places.get(digest) if lineage.is_artifact(path) else None):
        if other is not None and _fits(other, digest, runner):
            if dep_kind(path) == "parent":
                _copy_admitted(other, target, ground)
            else:
                tree.copy(ground.clone, other, target)
            return str(other)
    tracked = list(_tracked(path, ground.project))
    if tracked and _pull(runner, tracked, digest, target) is None:
        return "DVC"
    if (own / ".dvc").is_dir() and list(_tracked(path, own)):
        _lay_over(path, ground)  # a .dvc file that was not committed
        if _pull(runner, list(_tracked(path, ground.project)), digest, target) is None:
            return "DVC"
    return None


@contextmanager
def remotes_lent(node: Node, runner: Runner) -> Iterator[None]:
    """Lets a stage that read from DVC's remote do so again: git has no settings of one user's, and
    a path in the others counts from the user's clone. A stranger's code gets none of them."""
    ground, streams = runner.ground, any(node.streamed(path) for path in node.deps)
    place = ground.project / ".dvc/config.local"
    if runner.confined or not streams:
        yield
        return
    tree.write(ground.clone, place, resolve_dvc.remotes(ground.source.project).encode())
    try:
        yield
    finally:
        tree.remove(place)  # it may hold keys


def _copy_admitted(parent: Path, target: Path, ground: Ground) -> None:
    """Copies a complete model that is trained on from. It is loaded, so it has `examine`'s screen
    first, and what was screened is what is copied. Raises VerificationFailed."""
    with tempfile.TemporaryDirectory(dir=ground.scratch) as scratch:
        copy = Path(scratch) / "model"
        demand_admitted(parent, copy)
        tree.copy(ground.clone, copy, target)


def _fits(path: Path, digest: str, runner: Runner) -> bool:
    """Returns whether it has the digest, computed by the code here or else by the code that is
    checked out."""
    if not path.exists():
        return False
    if provenance.digest(path) == digest:
        return True
    if runner.confined and not path.is_relative_to(runner.ground.clone):
        return False  # a stranger's code reads nothing of the user's
    command = [sys.executable, "-c", DIGEST, str(path.resolve())]
    done = runner.run(command, runner.ground.project, stderr=subprocess.DEVNULL)
    return done.stdout.decode(errors="replace").strip() == digest


def _tracked(path: str, project: Path) -> Iterator[str]:
    """Yields the .dvc files of a path and of everything below it."""
    if (project / f"{path}.dvc").is_file():
        yield f"{path}.dvc"
    for pointer in sorted((project / path).rglob("*.dvc")):
        if pointer.is_file():
            yield pointer.relative_to(project).as_posix()


def _lay_over(path: str, ground: Ground) -> None:
    own = ground.source.project
    if (own / path).is_dir():
        tree.copy(ground.clone, own / path, ground.project / path)
    for name in _tracked(path, own):
        tree.write(ground.clone, ground.project / name, (own / name).read_bytes())


def _pull(runner: Runner, tracked: list[str], digest: str, target: Path) -> str | None:
    """Pulls the bytes; returns what went wrong, None when they are there.

    DVC reads a stranger's .dvc files for their digests alone, in a repository of its own: their
    settings could name a remote, and their deps a repository to clone.
    """
    ground = runner.ground
    script, place = Path(__file__).with_name("pull.py"), ground.project
    outs: list[str] = []
    if runner.confined:
        place = ground.scratch / "pulled"
        outs = _write_pointers(tracked, ground, place)
    command = [sys.executable, "-I", str(script), str(ground.source.project), str(place), *tracked]
    done = subprocess.run(command, cwd=place, env=environ(), capture_output=True, text=True)
    for out in outs:
        if (place / out).exists():
            tree.copy(ground.clone, place / out, ground.project / out)
    if _fits(target, digest, runner):
        return None
    reasons = done.stdout.strip().splitlines() or [done.stderr.strip().rpartition("\n")[2]]
    return without_login("; ".join(each for each in reasons if each)) or "DVC has other bytes"


def _write_pointers(tracked: list[str], ground: Ground, place: Path) -> list[str]:
    """Returns what they point at. Raises ParamsError for a .dvc file without plain outs."""
    outs = []
    tree.remove(place)
    (place / ".dvc").mkdir(parents=True)
    (place / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    for name in tracked:
        content = tree.demand_inside(ground.clone, ground.project / name).read_bytes()
        named = [
            {"md5": md5, "hash": "md5", "path": path}
            for path, md5 in resolve_dvc.tracked(content, name)
            if resolve_dvc.MD5.fullmatch(md5) and PurePosixPath(path).name == path
        ]
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(json.dumps({"outs": named}))
        outs += [PurePosixPath(name).with_name(each["path"]).as_posix() for each in named]
    return outs


def _missing(node: Node, path: str, digest: str, runner: Runner) -> str:
    """Returns the line that says which bytes are wanted, where they were looked for, and what to
    do."""
    project, own = runner.ground.project, runner.ground.source.project
    if dep_kind(path) == "artifact":
        return (
            f"{path}: its statement, sha256 {digest}, is not at hand, so how it was made is not "
            f"known; name a directory that has lineage/, or get {path} back (`dvc pull`)"
        )
    looked = {f"commit {(node.commit or '')[:12]}": project / path, str(own / path): own / path}
    reasons = [f"{name} has {_other(node, path, place)}" for name, place in looked.items()]
    tracked = list(_tracked(path, project))
    reason = _pull(runner, tracked, digest, project / path) if tracked else None
    reasons += [reason] if reason else []
    return (
        f"{path}: missing: {node.stage} read the {path} with sha256 {digest}, and "
        f"{'; '.join(reasons)}; put it back in {own / path}, or run `dvc pull` where it "
        "was pushed from"
    )


def _other(node: Node, path: str, place: Path) -> str:
    if not place.exists():
        return "none"
    unlike = [name for name, digest in node.files(path).items() if not _is(place / name, digest)]
    more = f" and {len(unlike) - NAMED} more" if len(unlike) > NAMED else ""
    return f"other bytes in {', '.join(unlike[:NAMED])}{more}" if unlike else "other bytes"


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and provenance.digest(file) == digest
