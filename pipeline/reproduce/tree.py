"""Files of the clone are written without following a link: what checked the clone out, or ran in
it, may have put one where a file was."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from pipeline.errors import CannotRun


def write(clone: Path, target: Path, content: bytes) -> None:
    """Writes a file of the clone anew, in place of whatever was there."""
    _make_parent(clone, target)
    if _kind(target) == stat.S_IFDIR:
        raise CannotRun(f"{target.relative_to(clone)}: is a directory; expected a file")
    descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=".writing-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(partial).chmod(0o644)
    Path(partial).replace(target)


def copy(clone: Path, source: Path, target: Path) -> None:
    """Copies a file or a directory to a place in the clone, in place of whatever was there."""
    _make_parent(clone, target)
    remove(target)
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=ignored)
    else:
        shutil.copyfile(source, target)


def remove(target: Path) -> None:
    """Removes a link itself, not what it leads to."""
    kind = _kind(target)
    if kind == stat.S_IFDIR:
        shutil.rmtree(target)
    elif kind:
        target.unlink()


def demand_inside(clone: Path, target: Path) -> Path:
    """Returns a path that no link leads out of the clone. Raises CannotRun."""
    inside = Path(os.path.normpath(target))
    if not inside.is_relative_to(clone):
        raise CannotRun(f"{target}: leads out of the clone; expected a path in it")
    for place in (inside, *inside.parents):
        if place == clone:
            break
        if _kind(place) == stat.S_IFLNK:
            raise CannotRun(f"{place}: is a link; expected a file or a directory of the clone")
    return inside


def _make_parent(clone: Path, target: Path) -> None:
    demand_inside(clone, target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)


def _kind(path: Path) -> int:
    """Returns the type of what lies there, without following it; 0 where there is nothing."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0
