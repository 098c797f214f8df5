"""What a stage reads and no stage makes, brought into the clone by digest: git, the user's files,
DVC's cache, DVC's remote."""

import shutil
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import provenance
from pipeline.errors import CannotRun
from pipeline.project import PARENTS
from pipeline.provenance.lineage import Node
from pipeline.reproduce.code import Repository, environ, files

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
    node: Node,
    made: Container[str],
    project: Path,
    source: Repository,
    places: Mapping[str, Path],
) -> list[Input]:
    """`made` are the outputs of stages that have run. Raises CannotRun for data that is nowhere."""
    found = []
    for path, digest in node.deps.items():
        if path not in made:
            origin = _origin(path, digest, project, source, places)
            if origin is None and (_is_data(path) or not (project / path).exists()):
                raise CannotRun(_missing(node, path, digest, project, source))
            found.append(Input(path=path, digest=digest, origin=origin))
    return found


def _is_data(path: str) -> bool:
    top = path.partition("/")[0]
    return top == PARENTS.name or top in provenance.NOT_CODE


def _origin(
    path: str, digest: str, project: Path, source: Repository, places: Mapping[str, Path]
) -> str | None:
    target = project / path
    if _fits(target, digest, project):
        return "the commit"
    for other in (source.project / path, places.get(digest)):
        if other is not None and _fits(other, digest, project):
            _copy(other, target)
            return str(other)
    tracked = list(_tracked(path, project))
    if tracked and _pull(source, project, tracked, digest, target) is None:
        return "DVC"
    if (source.project / ".dvc").is_dir() and list(_tracked(path, source.project)):
        _lay_over(path, source.project, project)  # a .dvc file that was not committed
        if _pull(source, project, list(_tracked(path, project)), digest, target) is None:
            return "DVC"
    return None


def _fits(path: Path, digest: str, project: Path) -> bool:
    """By the digest as it is computed here, or else as the checked out code computes it."""
    if not path.exists():
        return False
    if provenance.digest(path) == digest:
        return True
    command = [sys.executable, "-c", DIGEST, str(path.resolve())]
    done = subprocess.run(command, cwd=project, env=environ(), capture_output=True, text=True)
    return done.stdout.strip() == digest


def _copy(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=ignored)
    else:
        shutil.copyfile(source, target)


def _tracked(path: str, project: Path) -> Iterator[str]:
    """The .dvc files of a path and of everything below it."""
    if (project / f"{path}.dvc").is_file():
        yield f"{path}.dvc"
    for found in sorted((project / path).rglob("*.dvc")):
        if found.is_file():
            yield found.relative_to(project).as_posix()


def _lay_over(path: str, source: Path, project: Path) -> None:
    target = project / path
    if (source / path).is_dir():
        _copy(source / path, target)
    for name in _tracked(path, source):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, project / name)


def _pull(
    source: Repository, project: Path, tracked: list[str], digest: str, target: Path
) -> str | None:
    """What went wrong; None when the bytes are there."""
    script = Path(__file__).with_name("pull.py")
    command = [sys.executable, "-I", str(script), str(source.project), str(project), *tracked]
    done = subprocess.run(command, cwd=project, env=environ(), capture_output=True, text=True)
    if _fits(target, digest, project):
        return None
    reasons = done.stdout.strip().splitlines() or [done.stderr.strip().rpartition("\n")[2]]
    return "; ".join(each for each in reasons if each) or "DVC has other bytes"


def _missing(node: Node, path: str, digest: str, project: Path, source: Repository) -> str:
    """The line that says which bytes are wanted, where they were looked for, and what to do."""
    if path.startswith("artifacts/"):
        return (
            f"{path}: its statement, sha256 {digest}, is not at hand, so how it was made is not "
            f"known; name a directory that has lineage/, or get {path} back (`dvc pull`)"
        )
    looked = {f"commit {(node.commit or '')[:12]}": project / path}
    looked[str(source.project / path)] = source.project / path
    said = [f"{name} has {_other(node, path, place)}" for name, place in looked.items()]
    tracked = list(_tracked(path, project))
    reason = _pull(source, project, tracked, digest, project / path) if tracked else None
    said += [reason] if reason else []
    return (
        f"{path}: missing: {node.stage} read the {path} with sha256 {digest}, and {'; '.join(said)}"
        f"; put it back in {source.project / path}, or run `dvc pull` where it was pushed from"
    )


def _other(node: Node, path: str, place: Path) -> str:
    if not place.exists():
        return "none"
    recorded = files(node, path)
    unlike = [n for n, found in recorded.items() if not _is(place / n, found)]
    more = f" and {len(unlike) - NAMED} more" if len(unlike) > NAMED else ""
    return f"other bytes in {', '.join(unlike[:NAMED])}{more}" if unlike else "other bytes"


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and provenance.digest(file) == digest
