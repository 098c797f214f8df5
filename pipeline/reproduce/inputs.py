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
from pipeline.provenance.lineage import Node, dep_kind
from pipeline.reproduce.code import Repository, environ

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
    rebuilt: Container[str],
    project: Path,
    source: Repository,
    places: Mapping[str, Path],
) -> list[Input]:
    """`rebuilt` are the outputs of stages that have run. Raises CannotRun for data that are not at
    hand."""
    inputs = []
    for path, digest in node.deps.items():
        if path not in rebuilt:
            origin = _origin(path, digest, project, source, places)
            is_code = dep_kind(path) == "code"
            if origin is None and not (is_code and (project / path).exists()):
                raise CannotRun(_missing(node, path, digest, project, source))
            inputs.append(Input(path=path, digest=digest, origin=origin))
    return inputs


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
    """Whether it has the digest, computed by the code here or else by the code that is checked
    out."""
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
    for pointer in sorted((project / path).rglob("*.dvc")):
        if pointer.is_file():
            yield pointer.relative_to(project).as_posix()


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
    if dep_kind(path) == "artifact":
        return (
            f"{path}: its statement, sha256 {digest}, is not at hand, so how it was made is not "
            f"known; name a directory that has lineage/, or get {path} back (`dvc pull`)"
        )
    looked = {f"commit {(node.commit or '')[:12]}": project / path}
    looked[str(source.project / path)] = source.project / path
    reasons = [f"{name} has {_other(node, path, place)}" for name, place in looked.items()]
    tracked = list(_tracked(path, project))
    reason = _pull(source, project, tracked, digest, project / path) if tracked else None
    reasons += [reason] if reason else []
    return (
        f"{path}: missing: {node.stage} read the {path} with sha256 {digest}, and "
        f"{'; '.join(reasons)}; put it back in {source.project / path}, or run `dvc pull` where it "
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
